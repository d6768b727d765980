"""What ATC refuses in an ONNX file, found before the compilation; safe remedies are applied, others named."""
