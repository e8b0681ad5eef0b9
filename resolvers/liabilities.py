"""The root field of proofs of liabilities."""

import strawberry

from graph.context import Context
from graph.types.liability import LiabilityReport, Root

Info = strawberry.Info[Context, None]


async def liabilities(info: Info, report_root: Root = None) -> LiabilityReport | None:
    report = await info.context.liabilities.report(report_root)
    return None if report is None else LiabilityReport.of(report)
