"""The report on a classifier: a page to read, a picture of its confusions, and its answers as tables."""

from regraft.evidence.report.contents import ReportData, ReportSection, StageRow
from regraft.evidence.report.judgement import write_judgement

__all__ = ["ReportData", "ReportSection", "StageRow", "write_judgement"]
