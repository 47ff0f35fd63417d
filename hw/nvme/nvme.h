/* SPDX-License-Identifier: MIT */
/*
 * NVM Express controller (NVM Express 1.4): what its registers and life (nvme.c), queues (nvme-queues.c), commands (nvme-admin.c,
 * nvme-identify.c, nvme-io.c), data (nvme-data.c) and namespaces (nvme-ns.c) share. Under the machine lock.
 */
#ifndef HW_NVME_NVME_H
#define HW_NVME_NVME_H

#include <sys/uio.h>

#include "hw/block/disk.h"
#include "hw/pci/pci.h"
#include "machine/clock.h"

enum {
    NVME_QUEUES = 128, /* most pairs of queues, with the admin ones */
    NVME_QUEUE_ENTRIES = 2048,
    NVME_COMMANDS = 256,      /* that are under way at a time */
    NVME_ADMIN_COMMANDS = 16, /* of these, what I/O queues do not get */
    NVME_NAMESPACES = 256,
    NVME_SQ_ENTRY = 64,
    NVME_CQ_ENTRY = 16,
    NVME_PAGE_BITS = 12, /* of the smallest page */
    NVME_EVENTS = 8,     /* that wait to be told */
    NVME_IDENTIFY_BYTES = 4096,
    NVME_TEMPERATURE = 323, /* kelvin */
    NVME_FORMATS = 4,       /* blocks of 512 to 4096 bytes, without metadata */
    NVME_BLOCK_BITS = 9,    /* of the first format */
    NVME_SELF_TESTS = 20,   /* whose results are kept */
    NVME_SELF_TEST_BYTES = 28,
    NVME_VERSION = 1, /* of saved states: formats and self-tests */
};
#define NVME_ALL_NAMESPACES UINT32_MAX

/* Status type and code (4.6.1); DNR: to try again is of no use. */
enum {
    NVME_SUCCESS = 0,
    NVME_INVALID_OPCODE = 0x01,
    NVME_INVALID_FIELD = 0x02,
    NVME_TRANSFER_ERROR = 0x04,
    NVME_INTERNAL_ERROR = 0x06,
    NVME_ABORT_REQUESTED = 0x07,
    NVME_INVALID_NAMESPACE = 0x0b,
    NVME_SEQUENCE_ERROR = 0x0c,
    NVME_INVALID_SEGMENT = 0x0d,
    NVME_INVALID_SGL_COUNT = 0x0e,
    NVME_INVALID_SGL_LENGTH = 0x0f,
    NVME_INVALID_SGL_TYPE = 0x11,
    NVME_INVALID_PRP_OFFSET = 0x13,
    NVME_SELF_TEST_RUNNING = 0x1d,
    NVME_WRITE_PROTECTED = 0x20,
    NVME_LBA_RANGE = 0x80,
    NVME_FORMAT_IN_PROGRESS = 0x84,
    NVME_INVALID_CQ = 0x100,
    NVME_INVALID_QUEUE_ID = 0x101,
    NVME_INVALID_QUEUE_SIZE = 0x102,
    NVME_EVENT_LIMIT = 0x105,
    NVME_INVALID_VECTOR = 0x108,
    NVME_INVALID_LOG = 0x109,
    NVME_INVALID_FORMAT = 0x10a,
    NVME_INVALID_DELETION = 0x10c,
    NVME_NOT_SAVEABLE = 0x10d,
    NVME_NOT_CHANGEABLE = 0x10e,
    NVME_WRITE_FAULT = 0x280,
    NVME_READ_ERROR = 0x281,
    NVME_COMPARE_FAILURE = 0x285,
    NVME_DNR = 0x4000,
    NVME_PENDING = 0xffff, /* no status: the command ends later */
};

enum {
    NVME_CSTS_READY = 1,
    NVME_CSTS_FATAL = 2,
    NVME_CSTS_SHUTDOWN = 3 << 2,
    NVME_CSTS_SHUT = 2 << 2
};
enum { NVME_CC_ENABLE = 1 };

typedef struct Nvme Nvme;
typedef struct NvmeRequest NvmeRequest;

typedef struct {
    uint64_t base;
    uint32_t size; /* entries; 0: there is no such queue */
    uint32_t head, tail;
    uint16_t cq;
    bool deleting; /* its commands end, and no new ones are taken */
} NvmeSq;

typedef struct {
    uint64_t base;
    uint32_t size, head, tail;
    uint16_t vector;
    bool interrupts;
    uint8_t phase;
} NvmeCq;

/* A command from when it is taken from its queue until its answer is in the other one. */
typedef enum { NVME_FREE, NVME_STARTED, NVME_ENDED } NvmeCommandState;
typedef struct {
    uint8_t state;
    uint16_t sq, status; /* status: once it has ended, and its completion queue is full */
    uint32_t result;
    uint8_t entry[NVME_SQ_ENTRY];
    NvmeRequest
        *request; /* started, and in the block layer; NULL: it waits, or is to be made again */
} NvmeCommand;

typedef struct {
    Nvme *nvme;
    Device *device; /* that the user named */
    uint32_t id;
    Disk disk;
    bool original_write_cache;
    uint8_t format;  /* the host's choice; at first the user's logical_block_size */
    bool formatting; /* commands have to wait */
    /* Properties. */
    char *uuid;
    uint64_t eui64;
} NvmeNamespace;

/* Features (5.21.1), as reset makes them anew. */
typedef struct {
    uint32_t arbitration, error_recovery, coalescing, write_atomicity, event_config;
    uint16_t over_temperature, under_temperature;
    bool write_cache;
    uint8_t uncoalesced[NVME_QUEUES / 8]; /* by vector */
    uint64_t timestamp_ms;                /* what the host has set, */
    int64_t timestamp_set_ns;             /* and when */
    bool timestamp_by_host;
} NvmeFeatures;

typedef struct {
    uint8_t type, info, page;
} NvmeEvent;

/* The test that runs, and results of those before; no reset forgets them. */
typedef struct {
    Timer timer;
    uint64_t generation; /* of reads: one of an older one has nobody who waits */
    uint8_t code;        /* 0: none runs */
    uint32_t nsid, at;   /* which are tested, and where it is */
    uint64_t offset, fine_end; /* a piece failed that ends there */
    uint8_t results[NVME_SELF_TESTS * NVME_SELF_TEST_BYTES]; /* as in the log */
} NvmeSelfTest;

struct Nvme {
    PciDevice pci; /* first */
    MemoryRegion bar, registers;
    Bus bus;
    NvmeNamespace own; /* of the controller's drive= */
    NvmeNamespace *namespaces[NVME_NAMESPACES];
    bool
        running; /* it accesses memory: what comes to its registers by that is none of a driver's */
    bool listening;
    unsigned namespace_end; /* none beyond */
    unsigned in_flight;     /* requests in the block layer, */
    unsigned orphans;       /* of these, of commands that are forgotten */
    unsigned flushing;      /* flushes before the shutdown is complete */
    /* Registers. */
    uint32_t mask, cc, csts, aqa;
    uint64_t asq, acq;
    uint32_t page_bits;
    NvmeSq *sqs;
    NvmeCq *cqs;
    uint32_t queue_count; /* with the admin queues */
    NvmeCommand commands[NVME_COMMANDS];
    NvmeFeatures features;
    NvmeEvent events[NVME_EVENTS];
    uint8_t event_count, events_masked; /* by type: until the log is read */
    bool warned_temperature;
    NvmeSelfTest self_test;
    /* Properties. */
    char *serial;
    uint32_t max_ioqpairs, num_queues;
    uint16_t msix_qsize;
    uint8_t aerl, mdts;
    bool intel_id;
};

static inline Nvme *nvme_of(Device *device)
{
    return container_of(pci_device(device), Nvme, pci);
}

static inline uint8_t nvme_opcode(const NvmeCommand *c)
{
    return c->entry[0];
}

/* Double word n of a command. */
static inline uint32_t nvme_dw(const NvmeCommand *c, unsigned n)
{
    return load_le32(c->entry + n * 4);
}

/* nvme-queues.c */
void nvme_run(Nvme *n); /* takes commands as long as there are some */
void nvme_doorbell(Nvme *n, unsigned index, uint32_t value);
/* Ends a command that was started, and goes on with what waited for that. */
void nvme_end(Nvme *n, NvmeCommand *c, uint16_t status, uint32_t result);
void nvme_update_irq(Nvme *n);
/* Takes no more commands from it; true when none is left, and the queue with its unposted answers is gone. */
bool nvme_delete_sq(Nvme *n, unsigned index);
static inline bool nvme_is_ready(const Nvme *n)
{
    return (n->csts & (NVME_CSTS_READY | NVME_CSTS_FATAL)) == NVME_CSTS_READY;
}
/* All queues and commands are gone; what is in the block layer ends unheard. */
void nvme_forget(Nvme *n);
void nvme_resume(Nvme *n);                /* starts again what is held, or was saved */
void nvme_fail(Nvme *n, const char *why); /* fatal: until the driver resets the controller */
/* A request that nobody waits for has ended. nvme.c */
void nvme_orphan_ended(Nvme *n);

/* Commands: a status, or NVME_PENDING. */
uint16_t nvme_admin(Nvme *n, NvmeCommand *c, uint32_t *result);
uint16_t nvme_io(Nvme *n, NvmeCommand *c);
uint16_t nvme_format(Nvme *n, NvmeCommand *c);
uint16_t nvme_identify(Nvme *n, const NvmeCommand *c);
uint16_t nvme_get_log(Nvme *n, const NvmeCommand *c);
uint16_t nvme_set_feature(Nvme *n, const NvmeCommand *c, uint32_t *result);
uint16_t nvme_get_feature(Nvme *n, const NvmeCommand *c, uint32_t *result);
void nvme_reset_features(Nvme *n);
void nvme_apply_write_cache(Nvme *n);
/* Appends what is supported to the log page of command effects. */
void nvme_io_effects(uint8_t *page);
void nvme_admin_effects(uint8_t *page);
enum { NVME_EVENT_ERROR = 0, NVME_EVENT_SMART = 1 };
/* For nvme_run to tell, when the host has asked for events and has read the log of the last one of its type. */
void nvme_event(Nvme *n, uint8_t type, uint8_t info, uint8_t page);
void nvme_unmask_event(Nvme *n, uint8_t type);
/* Tells one; false: there is none to tell, or nobody who asks. */
bool nvme_tell_events(Nvme *n);
bool nvme_too_warm(const Nvme *n);
uint64_t nvme_power_on_hours(const Nvme *n);

/* nvme-selftest.c */
uint16_t nvme_self_test(Nvme *n, const NvmeCommand *c);
/* Fills the log page, and returns its size. */
unsigned nvme_self_test_log(const Nvme *n, uint8_t *page);
/* That an extended test takes. */
uint16_t nvme_self_test_minutes(const Nvme *n);
/* Tests that these end. */
void nvme_self_test_formatting(Nvme *n, const NvmeNamespace *ns);
void nvme_self_test_reset(Nvme *n);
bool nvme_self_test_check(const Nvme *n);
void nvme_self_test_loaded(Nvme *n);
void nvme_self_test_realize(Nvme *n);
void nvme_self_test_unrealize(Nvme *n);

/* nvme-data.c: the memory that a command names. */
typedef struct {
    GArray *pieces; /* of guest memory */
    struct iovec *iov;
    unsigned count;
    uint8_t *bounce; /* stands in where the pieces are not RAM, or too many */
    uint64_t bytes;
    bool to_memory;
} NvmeData;

/* Of failure nothing is left. */
uint16_t nvme_data_begin(Nvme *n, const NvmeCommand *c, NvmeData *data, uint64_t bytes,
                         bool to_memory);
/* Moves what was read to the guest. The data are cleared in any case. */
uint16_t nvme_data_end(Nvme *n, NvmeData *data);
void nvme_data_clear(NvmeData *data);
/* Whether buffer has what the guest's memory has. */
bool nvme_data_equals(const NvmeData *data, const uint8_t *buffer);
/* Both at once, for admin commands. */
uint16_t nvme_send(Nvme *n, const NvmeCommand *c, const void *from, uint64_t bytes);
uint16_t nvme_receive(Nvme *n, const NvmeCommand *c, void *to, uint64_t bytes);
bool nvme_read_memory(Nvme *n, uint64_t address, void *to, uint64_t bytes);
bool nvme_write_memory(Nvme *n, uint64_t address, const void *from, uint64_t bytes);

/* nvme-ns.c */
extern const BusType nvme_bus_type;
bool nvme_namespace_add(Nvme *n, NvmeNamespace *ns, Device *device, GError **error);
void nvme_namespace_remove(NvmeNamespace *ns);
NvmeNamespace *nvme_namespace(const Nvme *n, uint32_t id);
static inline uint32_t nvme_block_bytes(const NvmeNamespace *ns)
{
    return UINT32_C(1) << (NVME_BLOCK_BITS + ns->format);
}
static inline uint64_t nvme_namespace_blocks(const NvmeNamespace *ns)
{
    return disk_bytes(&ns->disk) / nvme_block_bytes(ns);
}

#endif
