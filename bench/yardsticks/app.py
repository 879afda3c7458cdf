"""The endpoint as one writes it with FastAPI: MODEL names the .npz; uvicorn runs it with one worker."""

import os

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

given = np.load(os.environ["MODEL"])
weights, bias, threshold = given["weights"].astype(np.float64), given["bias"].astype(np.float64), given["threshold"]
app = FastAPI()


class Row(BaseModel):
    """One row."""

    features: list[float]


class Request(BaseModel):
    """As SageMaker's JSON requests are."""

    instances: list[Row]


@app.get("/ping")
async def ping() -> None:
    """It is up."""


@app.post("/invocations")
async def invoke(request: Request) -> dict[str, list[dict[str, float]]]:
    """The score and label of each row."""
    z = np.array([row.features for row in request.instances]) @ weights + bias
    scores = (0.5 + 0.5 * np.tanh(z[:, 0] / 2)).tolist()
    return {"predictions": [{"score": score, "predicted_label": int(score >= threshold)} for score in scores]}
