/* SPDX-License-Identifier: MIT */
/*
 * The capability multifd: pages go over several channels beside the first, each with a thread, so that checksums, encryption and copying are no one
 * processor's work. A page may go again in a later pass, over another channel: between passes all wait for each other.
 */
#ifndef MIGRATION_LANES_H
#define MIGRATION_LANES_H

#include "migration/channel.h"
#include "migration/machine-state.h"
#include "migration/stream.h"

typedef struct LaneSender LaneSender;

/* Connects them, as the destination was told. counted: bytes are added to it. NULL with an error. */
LaneSender *lane_sender_new(Channel *first, const MachineHead *head, _Atomic uint64_t *counted,
                            GError **error);
/* The content of a section of pages, copied; an error may be of one that went before. A StreamSink's write. */
bool lane_sender_send(void *sender, const void *data, size_t size, GError **error);
/* All that was sent is on its way, and what comes then is after it; the caller says STREAM_SYNC on the first channel. */
bool lane_sender_sync(LaneSender *sender, GError **error);
/* No more will come. */
bool lane_sender_end(LaneSender *sender, GError **error);
/* All channels are of no more use then, the first as well. */
void lane_sender_free(LaneSender *sender);

typedef struct LaneReceiver LaneReceiver;

/* Waits for them. pieces: of machine_state_match, they stay. */
LaneReceiver *lane_receiver_new(Machine *machine, Channel *first, const GArray *pieces,
                                const MachineHead *head, _Atomic uint64_t *counted,
                                GError **error);
/* At STREAM_SYNC on the first channel. */
bool lane_receiver_sync(void *receiver, GError **error);
/* All have ended well. */
bool lane_receiver_finish(LaneReceiver *receiver, GError **error);
/* What went wrong on one of them, which has broken off the first: for the caller to report instead; NULL: nothing. */
GError *lane_receiver_error(LaneReceiver *receiver);
/* Breaks them off where they have not ended. */
void lane_receiver_free(LaneReceiver *receiver);

#endif
