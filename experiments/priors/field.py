"""The field part of configs/seven_classes_prior.yaml: the ratio of each class to AGN on the sky.

A multinomial logistic regression on Galactic latitude and flux of a simulated sky of another seed,
which plays the part of a population model: no labelled catalogue is used.
"""

import numpy as np
from sklearn.linear_model import LogisticRegression

import xbayes
from xbayes.features.functions import galactic

table = xbayes.simulate(60_000, seed=99)
log_flux = np.log10(sum(np.asarray(table[f"flux_{band}"]) for band in ("soft", "medium", "hard")))
latitude = np.abs(galactic(np.asarray(table["ra"]), np.asarray(table["dec"]))[1])
x = np.stack([latitude / 10, np.exp(-latitude / 5), log_flux + 14], axis=1)
model = LogisticRegression(C=1e6, max_iter=2000).fit(x, np.asarray(table["Class"]).astype(str))
classes = list(model.classes_)
agn = classes.index("AGN")
print("class: constant, per 10 deg of latitude, exp(-latitude / 5 deg), per dex of flux")
for c, name in enumerate(classes):
    terms = [model.intercept_[c] - model.intercept_[agn], *(model.coef_[c] - model.coef_[agn])]
    print(f"{name}:", ", ".join(f"{term:.2f}" for term in terms))
