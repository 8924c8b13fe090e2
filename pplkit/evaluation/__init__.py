"""Protocols, metrics, reports, the occlusion experiment."""
