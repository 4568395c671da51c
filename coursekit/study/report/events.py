"""Which events there are: what cuts leave of each sample, and how they are dealt to training, validation and test."""

import numpy as np
import pandas as pd

from coursekit.study.dataset import Dataset
from coursekit.study.outcome import Outcome
from coursekit.study.report.page import Page
from coursekit.study.report.selection import has_folds, training_view
from coursekit.study.settings import Study


def add_events(page: Page, study: Study, dataset: Dataset, outcome: Outcome) -> dict:
    """Add the table of cuts, and that of events and weights of each class in each part.

    Parameters
    ----------
    page : Page
    study : Study
    dataset : Dataset
    outcome : Outcome
        Not looked at.

    Returns
    -------
    dict
        Nothing: all is in the tables.
    """
    flow = dataset.flow.set_index("sample")
    flow = flow.rename(columns={"weight": f"expected at {study.apply.luminosity_fb:g}/fb"})
    is_simulated = ~flow.index.isin([dataset.samples[i] for i in np.unique(dataset.sample[dataset.labels < 0])])
    flow.iloc[:, -1] *= np.where(is_simulated, study.apply.luminosity_fb, 1.0)
    page.add("cuts_of_samples", "Events of each sample as they are read, and after each cut.", table=flow)
    view = training_view(dataset)
    rows = []
    for k, name in enumerate(dataset.classes):
        for part in ("training", "validation", "test"):
            its = getattr(view, part)[dataset.labels[getattr(view, part)] == k]
            row = {"class": name, "part": part, "events": len(its), "negative": int((dataset.weights[its] < 0).sum())}
            row["events per fb"] = float(dataset.weights[its].sum())
            if dataset.fitted is None:
                row["training weight"] = float(view.weights[its].sum())
            rows.append(row)
    caption = "Events of each class in each part, the sum of physical weights, and that of the weights of the training."
    if dataset.fitted is not None:
        caption = "Events of each class in the part that they would have in a training, and the sum of their weights."
    if has_folds(dataset):
        caption += " In the first fold: each in turn tests, the next one validates, the others train."
    page.add("parts", caption, table=pd.DataFrame(rows).set_index("class"))
    return {}
