/* SPDX-License-Identifier: MIT */
/*
 * Character devices: the interface between a front end (a UART, a console port, the monitor) and a
 * back end (stdio, pty, socket …). All under the machine lock, in the main loop or on a vCPU thread.
 */
#ifndef MACHINE_CHARDEV_H
#define MACHINE_CHARDEV_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/registry.h"
#include "machine/property.h"

typedef struct Chardev Chardev;

enum { CHARDEV_PASSED_MAX = 16 };

typedef enum {
    CHARDEV_OPENED,
    CHARDEV_CLOSED,
    CHARDEV_BREAK,
    CHARDEV_MUX_IN,  /* this front end now has the mux's input */
    CHARDEV_MUX_OUT,
    CHARDEV_RESIZED, /* columns and rows have changed */
} ChardevEvent;

/* What a front end gives. */
typedef struct {
    /* How many bytes receive may be given now; 0 stops the flow until chardev_accept_input. */
    size_t (*can_receive)(void *opaque);
    void (*receive)(void *opaque, const uint8_t *data, size_t size);
    void (*event)(void *opaque, ChardevEvent event); /* may be NULL */
    /* The back end can take bytes again after chardev_write took fewer. May be NULL. */
    void (*can_write)(void *opaque);
    /* It has another back end from now on (chardev-change). NULL: it has one for ever. */
    void (*changed)(void *opaque, Chardev *chardev);
    /* On a mux: gets the input first only when no other front end wants it (monitors). */
    bool background;
} ChardevFrontend;

/* What a back end gives. */
typedef struct {
    const char *name; /* as -chardev spells it */
    const char *summary;
    size_t instance_size; /* first member a Chardev */
    const Property *properties;
    bool (*open)(Chardev *chardev, GError **error);
    void (*close)(Chardev *chardev);
    /* Takes up to size bytes without blocking; returns how many (it buffers what must not be lost). */
    size_t (*write)(Chardev *chardev, const uint8_t *data, size_t size);
    /* The front end has room again. */
    void (*accept_input)(Chardev *chardev);
    void (*set_break)(Chardev *chardev, bool on);
    /* Whether somebody in the guest has the front end open, where that is known. May be NULL. */
    void (*guest_opened)(Chardev *chardev, bool open);
    /* Cuts a connection off, whatever waits for its other end. NULL: a type without any. */
    void (*yank)(Chardev *chardev);
    char *(*describe)(Chardev *chardev); /* for `info chardev`: "stdio", "pty:/dev/pts/3" … */
    /* Only a type that takes several front ends (mux): attaching and detaching is left to these. */
    bool (*attach)(Chardev *chardev, const ChardevFrontend *frontend, void *opaque, GError **error);
    void (*detach)(Chardev *chardev, void *opaque);
    /* Only a type that keeps what was written (ringbuf): takes up to size of the oldest bytes back. */
    size_t (*take_back)(Chardev *chardev, uint8_t *data, size_t size);
} ChardevType;
#define CHARDEV_TYPE(object) REGISTRY_ADD(chardev_types, object)
REGISTRY_DECLARE(chardev_types, ChardevType);

struct Chardev {
    const ChardevType *type;
    Machine *machine;
    char *id;
    bool open;                    /* a peer is there */
    uint16_t columns, rows;       /* of the terminal; 0: not known */
    const ChardevFrontend *frontend;
    void *frontend_opaque;
    bool guest_closed;            /* nobody in the guest has the front end open */
    int log_fd;                   /* copy of all output (logfile=), 0: none */
    bool log_stamps, log_in_line; /* each of its lines begins with the time; one has begun */
    int passed[CHARDEV_PASSED_MAX]; /* descriptors that came with the input and that nobody has taken, oldest first */
    unsigned passed_count;
};

/* Closes the back end and frees it, its properties and its id. Its front end must not use it again. */
void chardev_free(Chardev *chardev);

/*
 * Connects a front end; one that finds the peer already there gets CHARDEV_OPENED at once. A mux takes
 * several; others fail when one is connected.
 */
bool chardev_attach(Chardev *chardev, const ChardevFrontend *frontend, void *opaque, GError **error);
void chardev_detach(Chardev *chardev, void *opaque);
/* Returns how many bytes were taken. chardev may be NULL: all bytes vanish. */
size_t chardev_write(Chardev *chardev, const void *data, size_t size);
/* For front ends whose guests tell: somebody has opened the port, or nobody has it open any more. */
void chardev_guest_opened(Chardev *chardev, bool open);
void chardev_accept_input(Chardev *chardev);
/* For front ends: the oldest descriptor that the peer has sent, now the caller's; -1: none is left. */
int chardev_take_passed(Chardev *chardev);
/* For back ends, from the main loop; take the machine lock when the caller does not hold it. */
size_t chardev_can_receive(Chardev *chardev);
/* A descriptor that the peer has sent, before what came with it is received. Takes it; closes what is too many. */
void chardev_pass(Chardev *chardev, int fd);
void chardev_receive(Chardev *chardev, const uint8_t *data, size_t size);
/* Keeps chardev->open in step with CHARDEV_OPENED and CHARDEV_CLOSED, then tells the front end. */
void chardev_event(Chardev *chardev, ChardevEvent event);

/* For back ends: the terminal has this size now. Tells the front end when it is another one. */
void chardev_resize(Chardev *chardev, unsigned columns, unsigned rows);

#endif
