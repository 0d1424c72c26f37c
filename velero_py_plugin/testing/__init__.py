"""Public test tools: Velero's side of the plugin protocol, an embedded Kubernetes API, faulty storage."""
