"""One gRPC service per plugin kind: protobuf in, action called, protobuf out."""
