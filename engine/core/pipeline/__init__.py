"""The one door, and the ONE place that knows the order of the stages."""

from engine.core.pipeline.pipeline import Pipeline
from engine.core.pipeline.settings import PipelineSettings, StrategyBinding

__all__ = ["Pipeline", "PipelineSettings", "StrategyBinding"]
