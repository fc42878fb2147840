"""The one door, and the ONE place that knows the order of the stages."""

from engine.core.pipeline.builders import PrintEvent
from engine.core.pipeline.pipeline import Pipeline
from engine.core.pipeline.settings import LAW_VERSION, PipelineSettings, StrategyBinding

__all__ = ["LAW_VERSION", "Pipeline", "PipelineSettings", "PrintEvent", "StrategyBinding"]
