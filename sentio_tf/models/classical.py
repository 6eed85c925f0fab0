"""Ridge, support vector and gradient-boosted regression on feature vectors: the baselines.

Every model is a scikit-learn pipeline that standardises the features by its own training rows first.
"""

from __future__ import annotations

from typing import Any

from ..errors import ConfigError, SentioError

# What the published recipe found best; SVR's gamma "auto" is 1 / number of features.
RECIPE: dict[str, dict[str, Any]] = {
    "ridge": {"alpha": 100.0},
    "svr": {"C": 1.0, "gamma": "auto", "epsilon": 0.1},
    "xgboost": {"n_estimators": 200, "learning_rate": 0.05, "max_depth": 3},
}


def build(model: str, settings: dict[str, Any], *, seed: int = 0, joint: bool = False):
    """Unfitted pipeline of `StandardScaler` and the regressor.

    Args:
        model: "ridge" (Hoerl & Kennard 1970), "svr" (radial basis functions; Drucker et al. 1997) or
            "xgboost" (Chen & Guestrin 2016).
        settings: of the regressor, over those of `RECIPE`.
        joint: both axes in one: the ridge of both targets at one alpha, or trees whose leaves hold both.

    Raises: ConfigError for a setting the regressor does not know.
    """
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVR

    settings = {**RECIPE[model], **settings}
    if model == "xgboost":
        try:
            from xgboost import XGBRegressor
        except ImportError:
            raise SentioError("xgboost is not installed; install it with: pip install 'sentio-tf[train]'") from None
        # One thread: folds are run side by side, and the answer does not depend on the machine.
        regressor = XGBRegressor(random_state=seed, n_jobs=1, tree_method="hist")
        if joint:
            regressor.set_params(multi_strategy="multi_output_tree")
    else:
        regressor = {"ridge": Ridge, "svr": SVR}[model]()
    known = regressor.get_params()
    if unknown := sorted(set(settings) - set(known)):
        raise ConfigError(f"settings: expected parameters of {model}, received {unknown[0]!r}; known are {_few(known)}")
    regressor.set_params(**settings)
    return Pipeline([("scale", StandardScaler()), ("model", regressor)])


def _few(names) -> str:
    return ", ".join(sorted(n for n in names if n not in ("missing", "callbacks", "kwargs")))


# Types that a saved model may hold besides scikit-learn's own; anything else in the file is refused.
TRUSTED = ("xgboost.core.Booster", "xgboost.sklearn.XGBRegressor")
