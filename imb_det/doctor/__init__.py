"""Looks at a config, its data and its model before any training, and prescribes.

Checks are functions of a :class:`~imb_det.doctor.context.DoctorContext` that yield
findings, those of :mod:`imb_det.checks` among them.
"""
