"""What the lists of an install's contracts prove, and what they could not reach, in words.

A list has no cursor. It is complete if it is not full and each of its entries has an ID: then what it lacks does not
exist. Contracts are listed only for jobs that a project link references.

Source: partner-api, "Links, contracts and budgets".
"""

from collections.abc import Collection
from dataclasses import dataclass

from dashboard.rules.installs import UnreadEntry, named_entries

ACTIVE, ENDED = "active", "ended"
STATUSES = (ACTIVE, ENDED)
"""The statuses that lists can be requested of, in the order of the requests: a contract that ends in between is in both
lists. In the other order it would be in neither.
"""
NAMED = 3
"""Jobs that are named; the others are counted."""


@dataclass(frozen=True, slots=True)
class ListFacts:
    """A list of the contracts with a status (None: of any), of all jobs or of one."""

    status: str | None
    job_id: str | None
    is_full: bool
    unread: tuple[UnreadEntry, ...] = ()

    @property
    def is_complete(self) -> bool:
        return not self.is_full and all(entry.id is not None for entry in self.unread)


@dataclass(frozen=True, slots=True)
class Reach:
    """The lists of one sweep. `linked_jobs` are the jobs that the list of links names; None if that is not known.

    `lists` need not be complete: a sweep may end early.
    """

    lists: tuple[ListFacts, ...]
    linked_jobs: frozenset[str] | None
    most: int
    """The most contracts that a list has."""

    def would_show(self, *, job_id: str) -> bool:
        """Return whether a contract of this job would be in one of the lists, if it existed."""
        return all(self._covers(status, job_id=job_id) for status in STATUSES)

    @property
    def is_read(self) -> bool:
        """Whether the contracts of each status were listed, completely or not."""
        return {status for status in STATUSES if self._of_all(status)} == set(STATUSES)

    @property
    def words(self) -> str:
        """What was not reached, and why; empty if nothing."""
        return " ".join(filter(None, [*(self._words_of(status) for status in STATUSES), self._unread_words()]))

    def _covers(self, status: str, *, job_id: str) -> bool:
        if any(one.is_complete for one in self._of_all(status)):
            return True
        if not job_id or not self._of_all(status):
            return False
        by_job = [one for one in self.lists if (one.status, one.job_id) == (status, job_id)]
        is_unlinked = self.linked_jobs is not None and job_id not in self.linked_jobs
        return is_unlinked or any(one.is_complete for one in by_job)

    def _of_all(self, status: str | None) -> list[ListFacts]:
        return [one for one in self.lists if one.status == status and one.job_id is None]

    def _words_of(self, status: str) -> str:
        if not any(one.is_full for one in self._of_all(status)):
            return ""
        begin = f"OpenTrain lists {self.most} {status} contracts at most, and this install has as many or more."
        if self.linked_jobs is None:
            return f"{begin} Older ones are out of reach, because the project links could not be read."
        read = {one.job_id: one for one in self.lists if one.status == status and one.job_id is not None}
        left = len(self.linked_jobs - read.keys())
        full = sorted(job_id for job_id, one in read.items() if job_id is not None and one.is_full)
        said = []
        if left:
            jobs, are = "job" if len(self.linked_jobs) == 1 else "jobs", "is" if left == 1 else "are"
            said.append(f"{left:,} of {len(self.linked_jobs):,} linked {jobs} {are} left for the next reads.")
        if full:
            said.append(f"Older {status} contracts of {_jobs(full)} are out of reach.")
        return f"{begin} {' '.join(said)}" if said else ""

    def _unread_words(self) -> str:
        found: dict[object, UnreadEntry] = {}
        for one in sorted(self.lists, key=lambda one: one.job_id is not None):
            nameless = any(entry.id is None for same in self._of_all(one.status) for entry in same.unread)
            for entry in one.unread:
                if entry.id is not None:
                    found[entry.id, entry.why] = entry
                elif one.job_id is None or not nameless:  # a job's may be one that was counted already
                    found[one.status, one.job_id, entry.position] = entry
        if not found:
            return ""
        words = f"OpenTrain's lists of contracts have {named_entries(list(found.values()))}."
        if any(entry.id is None for entry in found.values()):
            words += " Without its ID, no contract that is missing from the list counts as gone."
        return f"{words} Report this to OpenTrain's support."


def _jobs(ids: Collection[str]) -> str:
    named = sorted(ids)[:NAMED]
    more = f" and {len(ids) - NAMED:,} more" if len(ids) > NAMED else ""
    return f"{'job' if len(ids) == 1 else 'jobs'} {', '.join(named)}{more}"
