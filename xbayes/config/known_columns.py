"""Columns of common catalogues, by quantity: the names that archives and VizieR give them.

Sources, column documentation only: 4XMM user guides and VizieR IX/69 (Webb et al. 2020), the column
pages of the Chandra Source Catalog 2.1 (Evans et al. 2024), the table descriptions of 2SXPS (Evans
et al. 2020), the data model of eRASS1 (Merloni et al. 2024), the data model of Gaia DR3 and VizieR
I/355, 2MASS (IRSA fp_psc, VizieR II/246) and AllWISE (IRSA allwise_p3as_psd, VizieR II/328).
"""

import re
from collections.abc import Iterable, Sequence

# Names that differ by case only from those of another survey: Pan-STARRS has gmag, Gaia has Gmag.
CASE_MATTERS = frozenset({"Gmag", "e_Gmag"})

POSITION = {
    "ra": (
        *("ra", "raj2000", "ra_icrs", "raicrs", "_raj2000", "radeg", "ra_deg", "sc_ra", "alpha"),
        *("alpha_j2000", "right_ascension", "rajd", "ra_x", "ra_corr"),
    ),
    "dec": (
        *("dec", "decl", "dej2000", "decj2000", "de_icrs", "deicrs", "_dej2000", "dedeg"),
        *("dec_deg", "sc_dec", "delta", "delta_j2000", "declination", "dejd", "dec_x", "dec_corr"),
    ),
    "l": ("lii", "gal_l", "glon", "l", "gal_lon"),
    "b": ("bii", "gal_b", "glat", "b", "gal_lat"),
}

_XMM = {
    f"xmm_{band}": (f"SC_EP_{band}_FLUX", f"EP_{band}_FLUX", f"Flux{band}")
    for band in (1, 2, 3, 4, 5, 8, 9)
}
_XMM_HARDNESS = {f"xmm_hr{n}": (f"SC_HR{n}", f"EP_HR{n}") for n in (1, 2, 3, 4)}
_XMM_HARDNESS_ERRORS = {f"e_xmm_hr{n}": (f"SC_HR{n}_ERR", f"EP_HR{n}_ERR") for n in (1, 2, 3, 4)}
_OTHER_HARDNESS = {f"hr{n}": (f"HR{n}",) for n in (1, 2, 3, 4)}
_OTHER_HARDNESS_ERRORS = {f"e_hr{n}": (f"e_HR{n}", f"HR{n}_err") for n in (1, 2, 3, 4)}

_CSC_HARDNESS = {
    f"csc_{pair}{end}": (f"hard_{pair}{end}", f"{start}HR{pair}")
    for pair in ("ms", "hm", "hs")
    for end, start in (("", ""), ("_lolim", "b_"), ("_hilim", "B_"))
}
_SXPS = {
    f"sxps_{name}{end}": (f"{column}{end}",)
    for name, column in {
        "hr1": "HR1",
        "hr2": "HR2",
        "rate": "Rate_band0",
        "peak": "PeakRate_band0",
    }.items()
    for end in ("", "_pos", "_neg")
}
_ERASS = {f"erass_{band}": (f"ML_RATE_{band}", f"ML_FLUX_{band}") for band in
          ("P1", "P2", "P3", "P4", "P5")}  # fmt: skip
_ERASS_ERRORS = {
    f"e_erass_{band}": (f"ML_RATE_ERR_{band}", f"ML_FLUX_ERR_{band}")
    for band in ("P1", "P2", "P3", "P4", "P5")
}

XRAY = {
    **_XMM,
    **_XMM_HARDNESS,
    **_XMM_HARDNESS_ERRORS,
    "e_xmm_8": ("SC_EP_8_FLUX_ERR", "EP_8_FLUX_ERR", "e_Flux8"),
    "xmm_max": ("SC_EP_8_FMAX",),
    "xmm_min": ("SC_EP_8_FMIN",),
    "xmm_chi2": ("SC_CHI2PROB", "EP_CHI2PROB", "CHI2PROB"),
    "xmm_fvar": ("SC_FVAR",),
    "flux_s": ("flux_aper_s", "flux_aper_avg_s", "Fcsc_s", "flux_soft", "Fluxs"),
    "flux_m": ("flux_aper_m", "flux_aper_avg_m", "Fcsc_m", "flux_medium", "Fluxm"),
    "flux_h": ("flux_aper_h", "flux_aper_avg_h", "Fcsc_h", "flux_hard", "Fluxh"),
    "flux_b": ("flux_aper_b", "flux_aper_avg_b", "Fcsc_b", "Fluxb"),
    "flux_b_lolim": ("flux_aper_lolim_b", "flux_aper_avg_lolim_b"),
    "flux_b_hilim": ("flux_aper_hilim_b", "flux_aper_avg_hilim_b"),
    "e_flux_s": ("e_Fcsc_s", "e_flux_soft"),
    "e_flux_m": ("e_Fcsc_m", "e_flux_medium"),
    "e_flux_h": ("e_Fcsc_h", "e_flux_hard"),
    **_CSC_HARDNESS,
    "gamma": ("powlaw_gamma", "powlaw_gamma_mean", "photon_index", "gamma"),
    "gamma_lolim": ("powlaw_gamma_lolim",),
    "gamma_hilim": ("powlaw_gamma_hilim",),
    "e_gamma": ("e_powlaw_gamma_mean", "e_gamma"),
    "nh": ("powlaw_nh",),
    "kt_bb": ("bb_kt",),
    "kt_apec": ("apec_kt",),
    "var_intra": ("var_intra_prob_b", "var_intra_prob"),
    "var_inter": ("var_inter_prob_b", "var_inter_prob"),
    "var_sigma": ("var_inter_sigma_b",),
    "var_prob_b": ("var_prob_b",),
    "var_prob_h": ("var_prob_h",),
    "var_prob_s": ("var_prob_s",),
    "var_ratio_b": ("var_ratio_b",),
    "var_ratio_h": ("var_ratio_h",),
    "var_ratio_s": ("var_ratio_s",),
    "var_mean": ("var_mean_b",),
    "var_std": ("var_sigma_b",),
    **_SXPS,
    "sxps_flux": ("FixedPowFlux",),
    "sxps_gamma": ("FittedPowGamma", "InterpPowGamma"),
    "sxps_nh": ("FittedPowNH",),
    "sxps_chi_snapshot": ("PvarPchiSnapshot_band0",),
    "sxps_chi_obs": ("PvarPchiObsID_band0",),
    "erass_flux": ("ML_FLUX_1", "ML_FLUX_0"),
    "e_erass_flux": ("ML_FLUX_ERR_1", "ML_FLUX_ERR_0"),
    **_ERASS,
    **_ERASS_ERRORS,
    **_OTHER_HARDNESS,
    **_OTHER_HARDNESS_ERRORS,
}

COUNTERPARTS = {
    "g": ("Gmag", "phot_g_mean_mag", "g_mag", "gaia_g"),
    "bp": ("BPmag", "phot_bp_mean_mag", "bp_mag"),
    "rp": ("RPmag", "phot_rp_mean_mag", "rp_mag"),
    "bp_rp": ("BP-RP", "bp_rp"),
    "e_g": ("e_Gmag", "phot_g_mean_mag_error"),
    "e_bp": ("e_BPmag", "phot_bp_mean_mag_error"),
    "e_rp": ("e_RPmag", "phot_rp_mean_mag_error"),
    "plx": ("Plx", "parallax"),
    "e_plx": ("e_Plx", "parallax_error"),
    "plx_snr": ("RPlx", "parallax_over_error", "parallax_snr"),
    "pm": ("PM", "pm"),
    "pmra": ("pmRA", "pmra"),
    "pmdec": ("pmDE", "pmdec"),
    "e_pmra": ("e_pmRA", "pmra_error"),
    "e_pmdec": ("e_pmDE", "pmdec_error"),
    "ruwe": ("RUWE", "ruwe"),
    "excess": ("sepsi", "astrometric_excess_noise_sig"),
    "distance": ("rgeo", "r_med_geo", "distance", "dist_geo"),
    "j": ("Jmag", "j_m", "j_mag", "j_m_2mass"),
    "h": ("Hmag", "h_m", "h_mag", "h_m_2mass"),
    "k": ("Kmag", "Ksmag", "k_m", "ks_m", "k_mag", "ks_mag", "k_m_2mass"),
    "e_j": ("e_Jmag", "j_msigcom", "j_cmsig", "j_msig_2mass"),
    "e_h": ("e_Hmag", "h_msigcom", "h_cmsig", "h_msig_2mass"),
    "e_k": ("e_Kmag", "e_Ksmag", "k_msigcom", "ks_msigcom", "k_cmsig", "k_msig_2mass"),
    **{f"w{n}": (f"W{n}mag", f"w{n}mpro", f"w{n}_mag") for n in (1, 2, 3, 4)},
    **{f"e_w{n}": (f"e_W{n}mag", f"w{n}sigmpro", f"w{n}mpro_error") for n in (1, 2, 3, 4)},
    "p_any": ("p_any",),
}

QUANTITIES: dict[str, tuple[str, ...]] = {**XRAY, **COUNTERPARTS}

_FLUX_UNIT = "erg/s/cm2"
# The usual units, of catalogues that name none, such as CSV files.
KNOWN_UNITS = {
    **dict.fromkeys((*_XMM, "e_xmm_8", "xmm_max", "xmm_min", "sxps_flux"), _FLUX_UNIT),
    **dict.fromkeys(("erass_flux", "e_erass_flux", "flux_b", "flux_b_lolim"), _FLUX_UNIT),
    **dict.fromkeys(("flux_b_hilim", "flux_s", "flux_m", "flux_h"), _FLUX_UNIT),
    **dict.fromkeys(("e_flux_s", "e_flux_m", "e_flux_h"), _FLUX_UNIT),
    **dict.fromkeys(("kt_bb", "kt_apec"), "keV"),
    **dict.fromkeys(("plx", "e_plx"), "mas"),
    **dict.fromkeys(("pmra", "pmdec", "e_pmra", "e_pmdec"), "mas/yr"),
    **dict.fromkeys(("g", "bp", "rp", "bp_rp", "j", "h", "k", "w1", "w2", "w3", "w4"), "mag"),
    **dict.fromkeys((f"e_{band}" for band in ("g", "bp", "rp", "j", "h", "k")), "mag"),
    **dict.fromkeys((f"e_w{n}" for n in (1, 2, 3, 4)), "mag"),
}

# A cross-match adds the name of a table in front of a column, or a number or a letter after it.
_PREFIX = re.compile(
    r"^(gaia|gaia_?e?dr[23]|gdr3|2mass|tmass|allwise|unwise|catwise|wise|4?xmm|csc2?|erass1?|"
    r"2?sxps|swift|xray)_+",
    re.IGNORECASE,
)
_SUFFIX = re.compile(r"_(\d|x|y|gaia|2mass|tmass|allwise|wise|xmm|csc|erass|swift)$", re.IGNORECASE)


def find_column(names: Iterable[str], wanted: Sequence[str]) -> str | None:
    """The first wanted name that a table has: as written, in other case, or with an added part."""
    names = list(names)
    for name in wanted:
        if name in names:
            return name
    for change in (str, _without_table):
        spelled = {change(name).lower(): name for name in reversed(names)}
        for name in wanted:
            found = spelled.get(name.lower())
            if found is not None and not (name in CASE_MATTERS and change(found) != name):
                return found
    return None


def _without_table(name: str) -> str:
    return _SUFFIX.sub("", _PREFIX.sub("", name))


def known_quantities(names: Iterable[str]) -> dict[str, str]:
    """The column of each quantity that the table has."""
    names = list(names)
    found = {quantity: find_column(names, wanted) for quantity, wanted in QUANTITIES.items()}
    return {quantity: name for quantity, name in found.items() if name is not None}
