// Aladin Lite around the source, with a marker at its position.
const box = document.querySelector("#aladin"), note = document.querySelector("#aladin-note");
import("/static/aladin/aladin.js")
  .then(async ({ default: A }) => {
    await A.init;
    const aladin = A.aladin("#aladin", { target: `${box.dataset.ra} ${box.dataset.dec}`, fov: 0.1, survey: "P/DSS2/color", cooFrame: "ICRSd" });
    const layer = A.catalog({ name: box.dataset.name, shape: "cross", sourceSize: 18 });
    aladin.addCatalog(layer);
    layer.addSources([A.source(Number(box.dataset.ra), Number(box.dataset.dec), { name: box.dataset.name })]);
  })
  .catch((error) => { note.textContent = `${box.dataset.failed} ${error}`; });
