"""From a finished run to the Hub: packaging, cards, checks, publishing, and the export to ONNX."""
