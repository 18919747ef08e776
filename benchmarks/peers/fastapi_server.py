"""FastAPI and uvicorn, one worker: ``fastapi_server.py KIND MODEL PORT``."""

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from scorer import load

scorer = load(*sys.argv[1:3])
app = FastAPI()


class Rows(BaseModel):
    data: list[list[float | str]]


@app.post("/predict")
def predict(rows: Rows) -> dict[str, list[float]]:
    return {"score": scorer(rows.data)}


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[3]), log_level="error", access_log=False)
