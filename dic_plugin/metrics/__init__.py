"""Importing this package registers its metrics."""
from dic_plugin.metrics.nrmse_metric import calculate_nrmse

__all__ = ['calculate_nrmse']
