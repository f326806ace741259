"""Contracts with what lists and files show beside them: verdicts by endpoint, and external projects."""

from collections.abc import Iterable, Mapping, Sequence

from dashboard.models import Contract, Endpoint, ProjectLink
from dashboard.rules.reconciliation import Event, Kind, Reason, Verdict
from dashboard.rules.reconciliation_facts import WORST_FIRST


class JudgedContracts:
    """The contracts of a page, what became of their events at these endpoints, and their project links.

    Verdicts of other endpoints are left out.
    """

    def __init__(
        self,
        contracts: Sequence[Contract],
        *,
        verdicts: Mapping[tuple[int, int, Event], Verdict],
        endpoints: Iterable[Endpoint],
        links: Iterable[ProjectLink],
    ) -> None:
        self.contracts = contracts
        self.endpoints = {endpoint.pk: endpoint for endpoint in endpoints}
        self._verdicts: dict[tuple[int, Event], list[tuple[Endpoint, Verdict]]] = {}
        for (contract, pk, event), verdict in verdicts.items():
            if pk in self.endpoints:
                self._verdicts.setdefault((contract, event), []).append((self.endpoints[pk], verdict))
        self._by_id: dict[str, ProjectLink] = {}
        self._by_job: dict[str, list[ProjectLink]] = {}
        for link in links:
            self._by_id[link.opentrain_id] = link
            self._by_job.setdefault(link.job_id, []).append(link)

    def of(self, contract: Contract, event: Event) -> list[tuple[Endpoint, Verdict]]:
        """Return what became of an event at each endpoint, worst first."""
        found = self._verdicts.get((contract.pk, event), [])
        return sorted(found, key=lambda one: (_severity(one[1]), one[0].deleted_at is not None, one[0].pk))

    def projects_of(self, contract: Contract) -> list[ProjectLink]:
        """Return the links that OpenTrain names for the contract, then others of its job. Those that exist come first.

        OpenTrain names no links that were removed; those of the job say what the contract belonged to.
        """
        named = [self._by_id[one] for one in contract.link_ids if one in self._by_id]
        of_job = self._by_job.get(contract.job_id, []) if contract.job_id else []
        found = {link.pk: link for link in (*named, *of_job)}
        return sorted(found.values(), key=lambda link: link.gone_at is not None)


def is_choice(verdict: Verdict) -> bool:
    """Return whether the endpoint does not subscribe to the event: a choice, so it is not called missing."""
    return verdict.reason is Reason.NOT_SUBSCRIBED


def _severity(verdict: Verdict) -> int:
    return WORST_FIRST.index(Kind.NOT_KNOWN if is_choice(verdict) else verdict.kind)
