"""BentoML, one worker: ``bentoml serve bentoml_service:Scores``; KIND and MODEL by environment."""

import os

import bentoml
from scorer import load


@bentoml.service(workers=1)
class Scores:
    def __init__(self) -> None:
        self.scorer = load(os.environ["KIND"], os.environ["MODEL"])

    @bentoml.api
    def predict(self, data: list[list[float | str]]) -> dict[str, list[float]]:
        return {"score": self.scorer(data)}
