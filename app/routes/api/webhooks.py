"""Webhooks: who receives them, and what waits. No address is shown, only its host."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body
from pydantic import BaseModel

from app.recovery.webhooks import outbox, service
from app.routes.answers import Document
from app.routes.api.models import RESPONSES, _Answer
from app.routes.studio import TheStudio, Who

router = APIRouter(
    prefix="/api", responses=RESPONSES, tags=["webhooks"], default_response_class=Document
)


class ReceiverOut(BaseModel):
    """A receiver, by the SHA-256 of its address; `here` says whether this studio has it."""

    id: str
    host: str
    first_seen_at: datetime
    seen_at: datetime
    stopped_at: datetime | None
    waiting: int
    given_up: int
    delivered: int
    next_attempt_at: datetime | None
    last_delivered_at: datetime | None
    last_error: str | None
    last_failed_at: datetime | None
    here: bool


class DeliveryOut(BaseModel):
    """One event to one receiver; `id` is the header webhook-id."""

    id: str
    type: str
    time: datetime
    message: str
    artifact_id: str | None
    job_id: str | None
    object: str | None
    receiver_id: str
    host: str
    state: Literal["waiting", "delivered", "given_up"]
    attempts: int
    next_attempt_at: datetime
    last_attempt_at: datetime | None
    last_status: int | None
    last_error: str | None
    ended_at: datetime | None


class WebhooksOut(_Answer):
    """Receivers, and the newest deliveries: those that did not arrive first."""

    receivers: list[ReceiverOut]
    deliveries: list[DeliveryOut]
    waiting: int
    given_up: int
    signed: bool
    linked: bool


class AnswerOut(BaseModel):
    """What a receiver answered to a test."""

    id: str
    host: str
    delivered: bool
    status: int | None
    error: str | None


class TestedOut(_Answer):
    """The answers to a test."""

    answers: list[AnswerOut]


class RetriedOut(_Answer):
    """How many deliveries are sent again."""

    deliveries: int


@router.get("/webhooks", response_model=WebhooksOut)
async def webhooks(studio: TheStudio, who: Who) -> Any:
    """Return who receives webhooks, what waits, and what did not arrive."""
    found = await outbox.overview(studio.reading(who), studio.settings.webhooks)
    return Document(found.to_json())


@router.post("/webhooks/test", response_model=TestedOut)
async def test(studio: TheStudio, who: Who) -> Any:
    """Send a test to each receiver of this studio, and return what each answered."""
    found = await service.send_test(studio.db, studio.settings.webhooks, who)
    return Document({"answers": service.answers_json(found)})


@router.post("/webhooks/retry", response_model=RetriedOut)
async def retry(
    studio: TheStudio,
    who: Who,
    receiver: Annotated[str | None, Body(embed=True, max_length=64)] = None,
) -> Any:
    """Send again now what waits or did not arrive; `receiver` is an id, without it to all."""
    number = await service.try_again(studio.db, who, receiver)
    return Document({"deliveries": number})
