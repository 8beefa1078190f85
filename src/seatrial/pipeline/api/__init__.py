"""PipelineRun: what others read and write of the pipeline."""
