/* SPDX-License-Identifier: MIT */
/*
 * A test bench for devices: a machine without board or vCPUs, with RAM, a PCI host and virtio-mmio
 * slots, whose lock the test holds; and a small virtio driver that works over every transport.
 */
#ifndef TESTS_DEVICE_BENCH_H
#define TESTS_DEVICE_BENCH_H

#include <glib.h>

#include "hw/pci/pci.h"
#include "machine/machine.h"

enum {
    BENCH_RAM = 0x40000000,
    DRIVER_DATA = BENCH_RAM + 0x800000, /* for buffers, above the rings */
    BENCH_RAM_SIZE = 16 << 20,
    BENCH_SLOTS = 0x0a000000,
    BENCH_SLOT_SIZE = 0x200,
    BENCH_SLOT_COUNT = 2,
    BENCH_MEMORY_WINDOW = 0x10000000,
    BENCH_MEMORY_WINDOW_SIZE = 0x10000000,
    BENCH_IO_WINDOW = 0x3e000000,
    BENCH_ECAM = 0x3f000000,
};

typedef struct {
    Machine *machine;
    PciBus *pcie;
    MemoryRegion memory_alias;
    int intx[4];                   /* levels of INTA to INTD */
    int slot_irq[BENCH_SLOT_COUNT];
} Bench;

Bench *bench_new(bool force_legacy);
void bench_free(Bench *bench);
/* options: name, value, …, NULL. Fails the test when realize fails. */
Device *bench_device(Bench *bench, const char *type, const char *id, ...) G_GNUC_NULL_TERMINATED;
/* Runs what is pending in the main loop. */
void bench_run_main_loop(Bench *bench);

uint64_t bench_read(Bench *bench, uint64_t address, unsigned size);
void bench_write(Bench *bench, uint64_t address, uint64_t value, unsigned size);
uint8_t *bench_ram(Bench *bench, uint64_t address);
/* Configuration space of bus 0 by ECAM. */
uint32_t bench_config_read(Bench *bench, unsigned devfn, unsigned offset, unsigned size);
void bench_config_write(Bench *bench, unsigned devfn, unsigned offset, uint32_t value, unsigned size);
/* Offset of a capability, or 0. */
unsigned bench_find_capability(Bench *bench, unsigned devfn, uint8_t id, unsigned after);

/* The driver. */
typedef enum { DRIVE_MMIO, DRIVE_MMIO_LEGACY, DRIVE_PCI, DRIVE_PCI_LEGACY, DRIVE_COUNT } DriveKind;

enum { DRIVER_QUEUE_SIZE = 8, DRIVER_QUEUES = 6 };

typedef struct {
    Bench *bench;
    DriveKind kind;
    Device *device;
    uint64_t base;                  /* of the registers */
    uint16_t available[DRIVER_QUEUES], used[DRIVER_QUEUES]; /* free-running indices */
    uint16_t next_descriptor[DRIVER_QUEUES];
} Driver;

typedef struct {
    uint64_t address;
    uint32_t length;
    bool write;
} Buffer;

/*
 * Makes the device for a transport ("virtio-rng" -> virtio-rng-pci …); options as in bench_device. bench
 * NULL: a new one. The driver owns it.
 */
Driver *driver_new(Bench *bench, DriveKind kind, const char *stem, ...) G_GNUC_NULL_TERMINATED;
extern const DriveKind drive_kinds[DRIVE_COUNT];

Bench *driver_bench_new(DriveKind kind);
/* Adds a test "/virtio/NAME/TRANSPORT" for each; its data is a const DriveKind *. */
void test_each_transport(const char *name, GTestDataFunc function);
void driver_free(Driver *driver);
uint64_t driver_offered(Driver *driver);
uint8_t driver_status(Driver *driver);
void driver_set_status(Driver *driver, uint8_t status);
/* Reset, feature negotiation (the wanted ones that are offered), `queues` queues, DRIVER_OK. */
void driver_start(Driver *driver, uint64_t wanted, unsigned queues);
/* Makes one queue anew, with empty rings. */
void driver_set_queue(Driver *driver, unsigned queue);
/* Of modern transports: resets one queue, and whether that goes on. */
void driver_reset_queue(Driver *driver, unsigned queue);
bool driver_queue_resetting(Driver *driver, unsigned queue);
uint64_t driver_config(Driver *driver, unsigned offset, unsigned size);
void driver_write_config(Driver *driver, unsigned offset, uint64_t value, unsigned size);
void driver_kick(Driver *driver, unsigned queue);
/* Addresses of the parts of a queue. */
uint64_t driver_descriptors(Driver *driver, unsigned queue);
uint64_t driver_available(Driver *driver, unsigned queue);
uint64_t driver_used(Driver *driver, unsigned queue);
/* Puts a chain into the queue without kicking; returns its head. */
unsigned driver_add(Driver *driver, unsigned queue, const Buffer *buffers, unsigned count);
/* The next used chain within a second of main-loop time; its written length. Fails the test if none. */
uint32_t driver_wait(Driver *driver, unsigned queue);
bool driver_used_any(Driver *driver, unsigned queue);
/* Add, kick, wait. */
uint32_t driver_do(Driver *driver, unsigned queue, const Buffer *buffers, unsigned count);
/* The level of the device's interrupt; reading acknowledges it. */
bool driver_interrupted(Driver *driver);

#endif
