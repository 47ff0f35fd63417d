/* SPDX-License-Identifier: MIT */
/*
 * USB attached SCSI, what its files share: usb-uas.c has the device, its pipes and the management of tasks, usb-uas-tasks.c has tasks, with
 * their requests and data. Under the machine lock.
 */
#ifndef HW_USB_USB_UAS_H
#define HW_USB_USB_UAS_H

#include "hw/scsi/scsi-bus.h"
#include "hw/usb/usb.h"

enum {
    UAS_STREAM_BITS = 5,
    UAS_TASKS = 1 << UAS_STREAM_BITS, /* at a time; with streams their tags are 1 to UAS_TASKS */
    UAS_NO_TASK = UAS_TASKS,
    UAS_COMMAND_MOST = 16 << 20, /* bytes that one moves */
    UAS_INVALID_FIELD = 0x24,    /* additional sense code */
};

/* Numbers of the pipes, as their descriptors have them. */
typedef enum {
    UAS_PIPE_COMMAND = 1,
    UAS_PIPE_STATUS,
    UAS_PIPE_IN,
    UAS_PIPE_OUT,
    UAS_PIPE_COUNT
} UasPipe;

/* What comes next for a command, or for a task of management. */
typedef enum {
    UAS_FREE,
    UAS_WANTS,    /* memory of the host, to which data go */
    UAS_COLLECTS, /* data of the host */
    UAS_RUNS,
    UAS_DELIVERS, /* data to the host */
    UAS_ENDS,     /* with the status */
    UAS_MANAGES,  /* nothing, until what it aborts has ended */
    UAS_RESPONDS,
    UAS_PHASES,
} UasPhase;

typedef struct Uas Uas;
typedef struct UasRequest UasRequest;

struct UasRequest {
    ScsiRequest scsi; /* first */
    Uas *uas;         /* NULL: it is gone */
    unsigned task;    /* UAS_NO_TASK: nobody waits for it any more */
    struct iovec *iov;
    uint8_t *buffer; /* of one that nobody waits for */
    UasRequest *next;
};

typedef struct {
    uint8_t phase, direction;
    uint8_t announced; /* that its data are next */
    uint8_t status, sense_size, response;
    uint16_t tag, lun;
    uint8_t cdb[SCSI_CDB], sense[SCSI_SENSE_SIZE];
    uint32_t order; /* in which they came */
    uint32_t length, at;
    uint8_t *buffer;
    uint32_t buffer_size;
    UasRequest *request;
    UsbPacket *direct; /* whose memory the request works on */
} UasTask;

struct Uas {
    UsbDevice usb;
    ScsiBus scsi;
    UasTask tasks[UAS_TASKS];
    uint32_t order;
    uint64_t next_tag; /* of requests */
    uint8_t refused;   /* a command found no room */
    /* By pipe and stream. */
    UsbPacket *packets[UAS_PIPE_COUNT][UAS_TASKS + 1];
    UasRequest *requests; /* all that are under way */
    bool pumping;
    /* Properties. */
    uint32_t log_requests;
};

static inline bool uas_has_streams(const Uas *s)
{
    return s->usb.speed == USB_SUPER;
}

static inline unsigned uas_stream_of(const Uas *s, const UasTask *task)
{
    return uas_has_streams(s) ? task->tag : 0;
}

/* usb-uas.c: serves all that wait and can be served now. */
void uas_pump(Uas *s);

/* usb-uas-tasks.c. NULL: there is none; no room for one. */
UasTask *uas_find_task(Uas *s, uint16_t tag);
UasTask *uas_new_task(Uas *s, uint16_t tag);
void uas_free_task(UasTask *task);
void uas_drop_buffer(UasTask *task);
/* Its request goes on without it: the image may still use the memory. */
void uas_let_go(UasTask *task);
/* Whether there are such. */
bool uas_any_let_go(const Uas *s);
/* What the host hears of it next: a response in place of a status, or a status with sense data. */
void uas_respond(UasTask *task, uint8_t response);
void uas_end_with_sense(UasTask *task, uint8_t key, uint8_t code);

/* Room for all that the command moves; false: it has ended without. */
bool uas_make_buffer(Uas *s, UasTask *task);
/* Runs on the buffer, if there is one. The request may be over when this returns, and its task free. */
void uas_run_on_buffer(Uas *s, UasTask *task);
/* The same when the machine next goes on. */
void uas_run_later(Uas *s, UasTask *task);
/* A command that moves data begins: on the host's memory, where that is there already. */
void uas_read_now(Uas *s, UasTask *task);
void uas_write_when_there(Uas *s, UasTask *task);

/* The task whose data a pipe moves: that of the stream, or that which was announced. */
UasTask *uas_task_of_data(Uas *s, UasPipe pipe, unsigned stream);
void uas_give_data(UasTask *task, UsbPacket *packet);
void uas_take_data(Uas *s, UasTask *task, UsbPacket *packet);
/* The task that has an information unit for the host: the one that came first, of the stream where there are any. */
UasTask *uas_task_of_status(Uas *s, unsigned stream);
void uas_give_unit(Uas *s, UasTask *task, UsbPacket *packet);

#endif
