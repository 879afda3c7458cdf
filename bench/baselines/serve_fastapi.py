"""A model server with FastAPI, for uvicorn with one worker; the environment variable MODEL is the .npz file."""

import os

import numpy as np
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel

model = np.load(os.environ["MODEL"])
weights, bias, threshold = model["weights"].astype(np.float64), model["bias"].astype(np.float64), model["threshold"]
app = FastAPI()


class Row(BaseModel):
    """One row."""

    features: list[float]


class Request(BaseModel):
    """A JSON request, as SageMaker's algorithms accept it."""

    instances: list[Row]


@app.get("/ping")
async def ping() -> None:
    """Answer 200."""


@app.post("/invocations")
async def invoke(request: Request) -> JSONResponse:
    """The score and label of each row. FastAPI does not validate a response that is one already; ours is not either."""
    z = np.array([row.features for row in request.instances]) @ weights + bias
    scores = (0.5 + 0.5 * np.tanh(z[:, 0] / 2)).tolist()
    predictions = [{"score": score, "predicted_label": int(score >= threshold)} for score in scores]
    return JSONResponse({"predictions": predictions})
