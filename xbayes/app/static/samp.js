"use strict";
// Sends tables, rows and positions to TOPCAT, Aladin and others on this machine by SAMP (web
// profile). Buttons need no script of their own:
//   data-samp-table-url="URL" data-samp-name="NAME"    send a table (VOTable, or FITS by its ending)
//   data-samp-table-url="URL" data-samp-row="17"       mark a row of a table sent before (from 0)
//   data-samp-point="RA,DEC"                           point at a position, in degrees
// What happens is told in the element with data-samp-status; its attributes data-no-hub,
// data-no-receiver, data-sent, data-failed and data-waiting replace the English texts.
(() => {
  const HUBS = ["http://localhost:21012/", "http://127.0.0.1:21012/"];
  const SECONDS = 60; // for a program to load a table
  const TEXTS = {
    noHub: "No SAMP hub answers. Start TOPCAT or Aladin on this machine, and allow the page to connect.",
    noReceiver: "No program at the SAMP hub takes this. Start TOPCAT or Aladin, then send again.",
    sent: "Sent to: ",
    failed: "Could not be loaded by: ",
    waiting: "Waiting for the SAMP hub. TOPCAT may ask whether to allow it.",
  };
  let connection = null;

  class Fault extends Error {}
  class NoHub extends Error {}

  const escaped = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

  function written(value) {
    if (typeof value !== "object") return `<value><string>${escaped(value)}</string></value>`;
    const members = Object.entries(value).map(
      ([name, one]) => `<member><name>${escaped(name)}</name>${written(one)}</member>`);
    return `<value><struct>${members.join("")}</struct></value>`;
  }

  const child = (node, name) => [...node.children].find((one) => one.tagName === name);

  function read(value) {
    const node = value.firstElementChild;
    if (!node) return value.textContent;
    if (node.tagName === "struct") {
      return Object.fromEntries([...node.children].map(
        (member) => [child(member, "name").textContent, read(child(member, "value"))]));
    }
    if (node.tagName === "array") return [...child(node, "data").children].map(read);
    return node.textContent;
  }

  // One call of a method of the hub (XML-RPC).
  async function call(hub, method, ...values) {
    const params = values.map((value) => `<param>${written(value)}</param>`).join("");
    const body = `<?xml version="1.0"?><methodCall><methodName>samp.webhub.${method}</methodName><params>${params}</params></methodCall>`;
    let text;
    try {
      const answer = await fetch(hub, { method: "POST", headers: { "Content-Type": "text/xml" }, body });
      text = await answer.text();
    } catch {
      throw new NoHub();
    }
    const answer = new DOMParser().parseFromString(text, "text/xml").documentElement;
    const fault = child(answer, "fault");
    if (fault) throw new Fault(read(child(fault, "value")).faultString);
    const params_ = child(answer, "params");
    if (!params_) throw new Fault("the answer of the hub is not understood");
    const value = child(params_.firstElementChild, "value");
    return value ? read(value) : "";
  }

  async function connect() {
    if (connection) return connection;
    for (const hub of HUBS) {
      try {
        await call(hub, "ping");
      } catch (error) {
        if (error instanceof NoHub) continue;
        throw error;
      }
      const registered = await call(hub, "register", { "samp.name": "xbayes" });
      const key = registered["samp.private-key"];
      await call(hub, "declareMetadata", key, { "samp.name": "xbayes", "samp.description.text": document.title });
      connection = { hub, key };
      return connection;
    }
    throw new NoHub();
  }

  // The connection may have ended since the last call, so a fault is tried once more.
  async function connected(work) {
    const before = connection;
    try {
      return await work(await connect());
    } catch (error) {
      if (!before || !(error instanceof Fault || error instanceof NoHub)) throw error;
      connection = null;
      return work(await connect());
    }
  }

  const receivers = async ({ hub, key }, mtype) => Object.keys(await call(hub, "getSubscribedClients", key, mtype));

  async function nameOf({ hub, key }, id) {
    const metadata = await call(hub, "getMetadata", key, id);
    return metadata["samp.name"] || id;
  }

  async function sendTo(one, id, message) {
    let failure = "";
    try {
      const answer = await call(one.hub, "callAndWait", one.key, id, message, String(SECONDS));
      if (answer["samp.status"] === "samp.error") failure = (answer["samp.error"] || {})["samp.errortxt"] || "?";
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      failure = error.message;
    }
    return { name: await nameOf(one, id), failure };
  }

  // Send a table to every program that takes it; answers [{name, failure}].
  function sendTable(url, name) {
    const whole = new URL(url, document.baseURI).href;
    const fits = /\.fits?(\.gz)?$/i.test(new URL(whole).pathname) || /[?&](response)?format=fits\b/i.test(whole);
    const mtype = fits ? "table.load.fits" : "table.load.votable";
    const message = { "samp.mtype": mtype, "samp.params": { url: whole, "table-id": whole, name: name || "xbayes" } };
    return connected(async (one) => Promise.all((await receivers(one, mtype)).map((id) => sendTo(one, id, message))));
  }

  function tellAll(mtype, params) {
    return connected(async (one) => {
      const ids = await receivers(one, mtype);
      await call(one.hub, "notifyAll", one.key, { "samp.mtype": mtype, "samp.params": params });
      return Promise.all(ids.map(async (id) => ({ name: await nameOf(one, id), failure: "" })));
    });
  }

  // Mark a row of a table that was sent before.
  function sendRow(url, row) {
    const whole = new URL(url, document.baseURI).href;
    return tellAll("table.highlight.row", { "table-id": whole, url: whole, row: String(row) });
  }

  // Point at a position on the sky, in degrees (ICRS).
  const pointAt = (ra, dec) => tellAll("coord.pointAt.sky", { ra: String(ra), dec: String(dec) });

  function told(results, texts) {
    const named = (failed) => results.filter((one) => Boolean(one.failure) === failed);
    const good = named(false).map((one) => one.name).join(", ");
    const bad = named(true).map((one) => `${one.name} (${one.failure})`).join(", ");
    if (!good && !bad) return texts.noReceiver;
    return [good && texts.sent + good, bad && texts.failed + bad].filter(Boolean).join(". ");
  }

  function statusOf(button) {
    let place = document.querySelector("[data-samp-status]");
    if (!place) {
      place = document.createElement("p");
      place.setAttribute("data-samp-status", "");
      button.insertAdjacentElement("afterend", place);
    }
    place.setAttribute("role", "status");
    return place;
  }

  function asked(button) {
    const { sampTableUrl: url, sampRow: row, sampPoint: point, sampName: name } = button.dataset;
    if (point !== undefined) return pointAt(...point.split(","));
    return row === undefined ? sendTable(url, name) : sendRow(url, row);
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-samp-table-url], button[data-samp-point]");
    if (!button) return;
    const place = statusOf(button);
    const texts = Object.fromEntries(Object.entries(TEXTS).map(([key, text]) => [key, place.dataset[key] || text]));
    place.textContent = texts.waiting;
    button.disabled = true;
    try {
      place.textContent = told(await asked(button), texts);
    } catch (error) {
      place.textContent = error instanceof NoHub ? texts.noHub : `SAMP: ${error.message}`;
    } finally {
      button.disabled = false;
      button.focus();
    }
  });

  window.addEventListener("pagehide", () => {
    if (!connection) return;
    const body = `<?xml version="1.0"?><methodCall><methodName>samp.webhub.unregister</methodName><params><param>${written(connection.key)}</param></params></methodCall>`;
    fetch(connection.hub, { method: "POST", headers: { "Content-Type": "text/xml" }, body, keepalive: true }).catch(() => {});
    connection = null;
  });

  window.xbayes = Object.assign(window.xbayes || {}, { sendTable, sendRow, pointAt });
})();
