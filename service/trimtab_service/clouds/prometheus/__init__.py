"""Prometheus: nodes and containers as node exporter, cAdvisor, kube-state-metrics and DCGM measure them."""
