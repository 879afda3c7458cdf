"""A server of named rows with FastAPI, scikit-learn's ColumnTransformer and model, for uvicorn with one worker.

The environment variable TABLE is a CSV of penguins, from which it learns at the start.
"""

import os

import pandas as pd
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from bench.columns import PENGUIN_NUMBERS, PENGUIN_WORDS, PENGUINS

table = pd.read_csv(os.environ["TABLE"])
numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
columns = make_column_transformer((numbers, PENGUIN_NUMBERS), (OneHotEncoder(handle_unknown="ignore"), PENGUIN_WORDS))
model = make_pipeline(columns, LogisticRegression())
model.fit(table[PENGUIN_NUMBERS + PENGUIN_WORDS], (table["species"] == PENGUINS).astype(int))
app = FastAPI()


class Row(BaseModel):
    """One row; a value may be missing."""

    bill_length_mm: float | None = None
    bill_depth_mm: float | None = None
    flipper_length_mm: float | None = None
    body_mass_g: float | None = None
    year: float | None = None
    island: str | None = None
    sex: str | None = None


class Request(BaseModel):
    """Rows by name, as the project's API accepts them."""

    instances: list[Row]


@app.post("/invocations")
async def invoke(request: Request) -> JSONResponse:
    """The score and label of each row, as the linear learner answers."""
    rows = pd.DataFrame([vars(row) for row in request.instances])
    scores = model.predict_proba(rows)[:, 1].tolist()
    predictions = [{"score": score, "predicted_label": int(score >= 0.5)} for score in scores]
    return JSONResponse({"predictions": predictions})
