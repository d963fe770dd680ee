"""Importing this package registers its metrics."""
from dic_plugin.metrics.failure_rate_metric import calculate_failure_rate
from dic_plugin.metrics.identity_metric import calculate_identity
from dic_plugin.metrics.nrmse_metric import calculate_nrmse

__all__ = ['calculate_failure_rate', 'calculate_identity', 'calculate_nrmse']
