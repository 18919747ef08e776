"""The only place that knows adapters by name: settings in, a workspace out."""
