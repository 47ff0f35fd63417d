/* SPDX-License-Identifier: MIT */
/*
 * SCSI as host adapters see it (SAM-5): a bus of targets with logical units, and commands with their data in host
 * memory. Adapters embed a ScsiBus and bring packets to it; scsi-disk.c has the units. Under the machine lock.
 */
#ifndef HW_SCSI_SCSI_BUS_H
#define HW_SCSI_SCSI_BUS_H

#include <sys/uio.h>

#include "hw/scsi/scsi.h"

enum { SCSI_GOOD = 0x00, SCSI_CHECK_CONDITION = 0x02 };

typedef struct ScsiBus ScsiBus;
typedef struct ScsiDrive ScsiDrive;
typedef struct ScsiRequest ScsiRequest;

typedef enum { SCSI_CHANGE_ADDED, SCSI_CHANGE_REMOVED, SCSI_CHANGE_MEDIUM, SCSI_CHANGE_SIZE } ScsiChange;

/* What an adapter can reach, and wants to hear. */
typedef struct {
    unsigned max_channel, max_target, max_lun;
    /* A logical unit came, is about to go, or has another medium or size. May be NULL. */
    void (*changed)(ScsiBus *bus, ScsiDrive *drive, ScsiChange change);
} ScsiHost;

struct ScsiBus {
    Bus bus;
    const ScsiHost *host;
};

/* How a request ended; status and sense count for SCSI_ENDED alone. */
typedef enum {
    SCSI_ENDED,
    SCSI_OVERRUN, /* its data do not fit into the host's memory: nothing was moved */
    SCSI_ABORTED, /* by task management */
    SCSI_RESET,   /* of the logical unit */
} ScsiOutcome;

/* Made by the adapter, which is told by `done` (maybe at once) and frees it there. */
struct ScsiRequest {
    uint8_t cdb[SCSI_CDB];
    uint64_t tag;
    struct iovec *out, *in; /* host memory for data to and from the unit; they may be shortened */
    uint16_t out_count, in_count;
    uint64_t out_bytes, in_bytes;
    void (*done)(ScsiRequest *request);
    /* Results. */
    ScsiOutcome outcome;
    uint8_t status, sense_size;
    uint8_t sense[SCSI_SENSE_SIZE];
    uint64_t moved; /* bytes of data */
    /* Of this folder. */
    ScsiDrive *drive; /* NULL: one of a unit that is not there */
    ScsiRequest *next, **link; /* on the drive's list, while under way */
    ScsiCommand command;
    ScsiAction action;
    bool in_flight, held;
    uint8_t *bounce;  /* raw sectors, or a pattern to fill with */
    struct iovec *bounce_iov;
    unsigned bounce_count;
};

struct ScsiDrive {
    Device device; /* first */
    ScsiBus *bus;
    ScsiUnit unit;
    Disk disk;
    ScsiRequest *requests;
    unsigned in_flight;
    bool listening, original_write_cache;
    /* Properties. */
    uint32_t channel, target, lun;
    char *vendor, *product, *device_id;
    bool removable, dpofua;
    uint16_t rotation_rate;
    uint64_t max_unmap_size, max_io_size, port_wwn;
    uint16_t port_index;
    int32_t scsi_version;
};

extern const BusType scsi_bus_type;

void scsi_bus_init(ScsiBus *bus, Device *adapter, const char *name, const ScsiHost *host);
/* NULL when there is no such unit. */
ScsiDrive *scsi_bus_find(const ScsiBus *bus, unsigned target, unsigned lun);
/* Whether any unit of the target is there. */
bool scsi_bus_has_target(const ScsiBus *bus, unsigned target);
/* Completes what the image has already answered. */
void scsi_bus_deliver(ScsiBus *bus);
/* For drain of the adapter: waits until nothing is in flight. Main loop only. */
void scsi_bus_drain(ScsiBus *bus);

/* Runs a command on (target, lun); the target is there, its unit need not be. */
void scsi_request_start(ScsiBus *bus, unsigned target, unsigned lun, ScsiRequest *request);
/* The same when the machine next goes on: of a request that was under way when a state was saved. */
void scsi_request_start_later(ScsiBus *bus, unsigned target, unsigned lun, ScsiRequest *request);
/* Ends requests of a unit early with `outcome`: at once, or when the image has answered. tag NULL: all. */
void scsi_drive_abort(ScsiDrive *drive, const uint64_t *tag, ScsiOutcome outcome);
/* The same for those that the test picks. */
typedef bool ScsiRequestTest(const ScsiRequest *request, const void *data);
void scsi_drive_abort_if(ScsiDrive *drive, ScsiRequestTest *test, const void *data,
                         ScsiOutcome outcome);
bool scsi_drive_has_request(const ScsiDrive *drive, const uint64_t *tag);
/* Whether one of them has been aborted and waits for the image. */
bool scsi_drive_is_aborting(const ScsiDrive *drive, const uint64_t *tag);
/* LOGICAL UNIT RESET: requests end, and the unit is as after power-on. */
void scsi_drive_reset(ScsiDrive *drive);
/* Of all units: what is under way ends; a part of it; and a reset besides. */
void scsi_bus_abort(ScsiBus *bus);
void scsi_bus_abort_if(ScsiBus *bus, ScsiRequestTest *test, const void *data);
void scsi_bus_reset(ScsiBus *bus);

/* For the files of this folder: takes up what was held. */
void scsi_drive_resume(ScsiDrive *drive);

#endif
