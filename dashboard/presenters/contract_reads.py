"""When an install's contracts and links were read from OpenTrain, and what those reads could not tell."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dashboard.models import Install, Reconciliation
from dashboard.rules.reads import Read, is_allowed, not_known

_A_SECOND = timedelta(seconds=1)
"""A read that is due within it is said to be due: "The next read is just now" is no English."""


@dataclass(frozen=True, slots=True)
class ContractReads:
    """The last reads of an install. Times are None before the first one.

    `lacks` says what a missing scope leaves unknown, and what to do; empty if the token has the scopes. `about` names
    what that is. `next_at` is None if the next read is due. `error` says why the last read failed, `out_of_reach` what
    it could not reach; both are empty if there is nothing to say.
    """

    contracts_read_at: datetime | None
    links_read_at: datetime | None
    judged_at: datetime | None
    next_at: datetime | None
    error: str
    out_of_reach: str
    about: str
    lacks: str
    lacks_contracts: bool
    is_left: bool = False
    """Whether the install is disconnected, so that nothing is read any more."""
    others: Sequence[Install] = ()
    """Other installs of the same organization and app that the user may see."""

    @property
    def read_at(self) -> datetime | None:
        """When the data of the list is from: the older of the two reads, if both happened."""
        known = [at for at in (self.contracts_read_at, self.links_read_at) if at is not None]
        return min(known, default=None)

    @property
    def goes_on(self) -> bool:
        """Whether contracts are read again: not with this token, and not once the install is disconnected."""
        return not self.lacks_contracts and not self.is_left

    @property
    def is_judged(self) -> bool:
        """Whether contracts were read and compared with the log, so that a number of findings means something."""
        return self.judged_at is not None and not self.lacks_contracts

    @property
    def is_whole(self) -> bool:
        """Whether the last read succeeded, and reached every contract and link."""
        both = self.contracts_read_at is not None and self.links_read_at is not None
        return both and not (self.error or self.out_of_reach or self.lacks)


DISCONNECTED = "This install is disconnected from Redeliver, so they are not read any more."


def contract_reads(install: Install, *, now: datetime, others: Sequence[Install] = ()) -> ContractReads:
    """Return what is known of an install's reads. Without `select_related("reconciliation")`, it takes a query."""
    row = getattr(install, "reconciliation", None) or Reconciliation(install=install)
    reads = [read for read in (Read.CONTRACTS, Read.LINKS) if not is_allowed(read, scopes=install.token_scopes)]
    return ContractReads(
        contracts_read_at=row.contracts_read_at,
        links_read_at=row.links_read_at,
        judged_at=row.judged_at,
        next_at=row.due_at if row.due_at is not None and row.due_at - now >= _A_SECOND else None,
        error=row.error,
        out_of_reach=row.out_of_reach,
        about=_ABOUT.get(tuple(reads), ""),
        lacks=DISCONNECTED if install.is_disconnected else not_known(reads, scopes=install.token_scopes),
        lacks_contracts=Read.CONTRACTS in reads,
        is_left=install.is_disconnected,
        others=others,
    )


_ABOUT = {
    (Read.CONTRACTS, Read.LINKS): "Contracts and external projects",
    (Read.CONTRACTS,): "Contracts",
    (Read.LINKS,): "External projects",
}
