"""The routes of the service by family; `rootstock_client.Client` is all of them together."""

from rootstock_client.calls.aliases import AliasCalls
from rootstock_client.calls.encoders import EncoderCalls
from rootstock_client.calls.erasures import ErasureCalls
from rootstock_client.calls.heads import HeadCalls
from rootstock_client.calls.jobs import JobCalls
from rootstock_client.calls.keys import KeyCalls
from rootstock_client.calls.labels import LabelCalls
from rootstock_client.calls.predict import PredictCalls
from rootstock_client.calls.reports import ReportCalls
from rootstock_client.calls.snapshots import SnapshotCalls
from rootstock_client.calls.tables import TableCalls
from rootstock_client.calls.targets import TargetCalls

__all__ = [
    "AliasCalls",
    "EncoderCalls",
    "ErasureCalls",
    "HeadCalls",
    "JobCalls",
    "KeyCalls",
    "LabelCalls",
    "PredictCalls",
    "ReportCalls",
    "SnapshotCalls",
    "TableCalls",
    "TargetCalls",
]
