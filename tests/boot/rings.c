/* SPDX-License-Identifier: MIT */
/*
 * A kernel for virt whose processors drive devices at the same time: each has a queue of its own of every virtio-blk disk, writes
 * there, reads back and compares; the last one also asks the network for 10.0.2.2 (ARP, RFC 826). Interrupts go to whoever takes
 * them first, and he wakes the others. It runs until a byte comes from the serial port, and tells how it was. Registers:
 * VIRTIO 1.2 (4.2.2), Arm IHI 0048 (GICv2), DDI 0183 (PL011), DEN 0022 (PSCI).
 */
#include <stdbool.h>
#include <stdint.h>

enum {
    CPUS = 4,
    DISKS = 2,
    QUEUE_SIZE = 16,
    BATCH = 4, /* requests of a processor on a disk at a time */
    SECTORS = 8,
    WORDS = SECTORS * 512 / 8,
    STACK_SIZE = 4096,
    SLOTS = 32,
    FIRST_IRQ = 48,
    WAKE_IRQ = 1,
};

#define UART  ((volatile uint32_t *)0x09000000)
#define GICD  ((volatile uint32_t *)0x08000000)
#define GICC  ((volatile uint32_t *)0x08010000)
#define SLOT0 0x0a000000ul

enum { UART_DATA = 0, UART_FLAGS = 0x18 / 4, UART_EMPTY = 1 << 4 };
enum { GICD_ENABLE = 0x100 / 4, GICD_TARGETS = 0x800 / 4, GICD_SGI = 0xf00 / 4 };
enum { SGI_OTHERS = 1 << 24 };
enum { GICC_PRIORITY = 4 / 4, GICC_ACKNOWLEDGE = 0xc / 4, GICC_END = 0x10 / 4, NO_IRQ = 1023 };
enum {
    VIRTIO_ID = 0x8 / 4,
    VIRTIO_FEATURES = 0x10 / 4,
    VIRTIO_FEATURES_SELECT = 0x14 / 4,
    VIRTIO_ACCEPTED = 0x20 / 4,
    VIRTIO_ACCEPTED_SELECT = 0x24 / 4,
    VIRTIO_QUEUE = 0x30 / 4,
    VIRTIO_QUEUE_SIZE = 0x38 / 4,
    VIRTIO_QUEUE_READY = 0x44 / 4,
    VIRTIO_NOTIFY = 0x50 / 4,
    VIRTIO_INTERRUPTS = 0x60 / 4,
    VIRTIO_INTERRUPTS_TAKEN = 0x64 / 4,
    VIRTIO_STATUS = 0x70 / 4,
    VIRTIO_DESCRIPTORS = 0x80 / 4,
    VIRTIO_AVAILABLE = 0x90 / 4,
    VIRTIO_USED = 0xa0 / 4,
};
enum { ID_NET = 1, ID_BLOCK = 2, ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8 };
enum { MANY_QUEUES = 1 << 12, VERSION_1 = 1 }; /* the second of the upper word */
enum { NEXT = 1, DEVICE_WRITES = 2, READ = 0, WRITE = 1 };

typedef volatile uint32_t *Registers;

typedef struct {
    struct {
        uint64_t address;
        uint32_t length;
        uint16_t flags, next;
    } descriptors[QUEUE_SIZE];
    uint16_t available_flags, available, available_ring[QUEUE_SIZE], used_event, padding;
    uint16_t used_flags, used;
    struct {
        uint32_t id, length;
    } used_ring[QUEUE_SIZE];
    uint16_t available_event;
} __attribute__((aligned(16))) Queue;

typedef struct {
    struct {
        uint32_t type, reserved;
        uint64_t sector;
    } header;
    uint64_t data[WORDS];
    uint8_t status;
} Request;

uint64_t stacks[CPUS][STACK_SIZE / 8] __attribute__((aligned(16)));
static Queue queues[DISKS][CPUS], receive, transmit;
static Request requests[DISKS][CPUS][BATCH];
static Registers disks[DISKS], net;
static uint8_t sent[64], received[2048];
static unsigned disk_count, ended, failures, replies, rounds;
static bool enough;

void run(uint64_t cpu);

__asm__(".global _start\n"
        "_start:\n"
        "    mov x0, #0\n"
        "secondary:\n"
        "    adr x1, stacks\n"
        "    add x2, x0, #1\n"
        "    add x1, x1, x2, lsl #12\n"
        "    mov sp, x1\n"
        "    b run\n");
extern char secondary[];

static uint64_t psci(uint64_t function, uint64_t cpu, const void *entry)
{
    register uint64_t x0 __asm__("x0") = function;
    register uint64_t x1 __asm__("x1") = cpu;
    register const void *x2 __asm__("x2") = entry;
    register uint64_t x3 __asm__("x3") = cpu;

    __asm__ volatile("hvc #0" : "+r"(x0) : "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
}

static void print(const char *text)
{
    for (; *text; text++) {
        UART[UART_DATA] = (uint8_t)*text;
    }
}

static void print_number(const char *name, unsigned number)
{
    char digits[12], *at = digits + sizeof digits;

    *--at = 0;
    do {
        *--at = (char)('0' + number % 10);
    } while (number /= 10);
    print(name);
    print(at);
}

/* The virtio interrupts that there are, until there is none; whoever waits for them wakes. */
static void take_interrupts(void)
{
    uint32_t taken, irq;

    while ((irq = (taken = GICC[GICC_ACKNOWLEDGE]) & 0x3ff) != NO_IRQ) {
        if (irq >= FIRST_IRQ) {
            Registers device = (Registers)(SLOT0 + (irq - FIRST_IRQ) * 0x200);

            device[VIRTIO_INTERRUPTS_TAKEN] = device[VIRTIO_INTERRUPTS];
        }
        GICC[GICC_END] = taken;
        if (irq >= FIRST_IRQ) {
            GICD[GICD_SGI] = SGI_OTHERS | WAKE_IRQ;
        }
    }
}

static void set_address(Registers device, unsigned index, const void *address)
{
    device[index] = (uint32_t)(uintptr_t)address;
    device[index + 1] = (uint32_t)((uintptr_t)address >> 32);
}

static void start_queue(Registers device, unsigned index, Queue *queue)
{
    device[VIRTIO_QUEUE] = index;
    device[VIRTIO_QUEUE_SIZE] = QUEUE_SIZE;
    set_address(device, VIRTIO_DESCRIPTORS, queue->descriptors);
    set_address(device, VIRTIO_AVAILABLE, &queue->available_flags);
    set_address(device, VIRTIO_USED, &queue->used_flags);
    device[VIRTIO_QUEUE_READY] = 1;
}

static void negotiate(Registers device, uint32_t features)
{
    device[VIRTIO_STATUS] = 0;
    device[VIRTIO_STATUS] = ACKNOWLEDGE | DRIVER;
    device[VIRTIO_FEATURES_SELECT] = 0;
    device[VIRTIO_ACCEPTED_SELECT] = 0;
    device[VIRTIO_ACCEPTED] = device[VIRTIO_FEATURES] & features;
    device[VIRTIO_ACCEPTED_SELECT] = 1;
    device[VIRTIO_ACCEPTED] = VERSION_1;
    device[VIRTIO_STATUS] = ACKNOWLEDGE | DRIVER | FEATURES_OK;
}

/* Makes a chain of the descriptors from index on available. */
static void offer(Registers device, unsigned number, Queue *queue, uint16_t index)
{
    queue->available_ring[queue->available % QUEUE_SIZE] = index;
    __atomic_store_n(&queue->available, (uint16_t)(queue->available + 1), __ATOMIC_SEQ_CST);
    device[VIRTIO_NOTIFY] = number;
}

static void describe(Queue *queue, uint16_t index, const void *at, uint32_t length, uint16_t flags)
{
    queue->descriptors[index].address = (uintptr_t)at;
    queue->descriptors[index].length = length;
    queue->descriptors[index].flags = flags;
    queue->descriptors[index].next = (uint16_t)(index + 1);
}

static void find_devices(void)
{
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        Registers device = (Registers)(SLOT0 + slot * 0x200);
        unsigned irq = FIRST_IRQ + slot;

        GICD[GICD_TARGETS + irq / 4] = 0x01010101 * ((1 << CPUS) - 1);
        if (device[VIRTIO_ID] == ID_BLOCK && disk_count < DISKS) {
            negotiate(device, MANY_QUEUES);
            for (unsigned cpu = 0; cpu < CPUS; cpu++) {
                start_queue(device, cpu, &queues[disk_count][cpu]);
            }
            disks[disk_count++] = device;
        } else if (device[VIRTIO_ID] == ID_NET) {
            negotiate(device, 0);
            start_queue(device, 0, &receive);
            start_queue(device, 1, &transmit);
            net = device;
        } else {
            continue;
        }
        device[VIRTIO_STATUS] = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK;
        GICD[GICD_ENABLE + irq / 32] = 1u << irq % 32;
    }
}

static uint64_t pattern(unsigned disk, unsigned cpu, unsigned round, unsigned batch, unsigned word)
{
    return ((uint64_t)round << 32 | disk << 28 | cpu << 24 | batch << 20 | word) *
           0x9e3779b97f4a7c15ull;
}

/* One processor's requests on all disks; returns when they have ended. */
static void transfer(unsigned cpu, uint32_t type)
{
    for (unsigned disk = 0; disk < disk_count; disk++) {
        Queue *queue = &queues[disk][cpu];

        for (unsigned i = 0; i < BATCH; i++) {
            Request *request = &requests[disk][cpu][i];
            uint16_t first = (uint16_t)(i * 3);

            request->header.type = type;
            request->header.sector = (cpu * BATCH + i) * SECTORS;
            request->status = 0xff;
            describe(queue, first, &request->header, sizeof request->header, NEXT);
            describe(queue, first + 1, request->data, sizeof request->data,
                     type == READ ? NEXT | DEVICE_WRITES : NEXT);
            describe(queue, first + 2, &request->status, 1, DEVICE_WRITES);
            offer(disks[disk], cpu, queue, first);
        }
    }
    for (unsigned disk = 0; disk < disk_count; disk++) {
        Queue *queue = &queues[disk][cpu];

        while (__atomic_load_n(&queue->used, __ATOMIC_ACQUIRE) != queue->available) {
            __asm__ volatile("wfi" : : : "memory");
            take_interrupts();
        }
    }
}

static void fail(void)
{
    __atomic_fetch_add(&failures, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&enough, true, __ATOMIC_SEQ_CST);
}

static void work(unsigned cpu, unsigned round)
{
    for (unsigned disk = 0; disk < disk_count; disk++) {
        for (unsigned i = 0; i < BATCH * WORDS; i++) {
            requests[disk][cpu][i / WORDS].data[i % WORDS] =
                pattern(disk, cpu, round, i / WORDS, i % WORDS);
        }
    }
    transfer(cpu, WRITE);
    for (unsigned i = 0; i < disk_count * BATCH * WORDS; i++) {
        requests[i / WORDS / BATCH][cpu][i / WORDS % BATCH].data[i % WORDS] = 0;
    }
    transfer(cpu, READ);
    for (unsigned disk = 0; disk < disk_count; disk++) {
        for (unsigned i = 0; i < BATCH * WORDS; i++) {
            const Request *request = &requests[disk][cpu][i / WORDS];

            if (request->status ||
                request->data[i % WORDS] != pattern(disk, cpu, round, i / WORDS, i % WORDS)) {
                fail();
                return;
            }
        }
    }
}

/* Asks who has 10.0.2.2 and counts answers. Packets may be lost, as in any network: nobody waits for them. */
static void ask(void)
{
    static const uint8_t question[] = {
        0,    0,    0,    0,    0,    0,    0,    0,    0, 0,    0,    0, /* virtio's header */
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0x12, 0x34, 0x56,
        8,    6,    0,    1,    8,    0,    6,    4,    0, 1, /* a request */
        0x52, 0x54, 0,    0x12, 0x34, 0x56, 10,   0,    2, 15,   0,    0,
        0,    0,    0,    0,    10,   0,    2,    2,
    };

    if (__atomic_load_n(&receive.used, __ATOMIC_ACQUIRE) == receive.available) {
        replies += receive.available != 0 && received[24] == 8 && received[25] == 6;
        describe(&receive, 0, received, sizeof received, DEVICE_WRITES);
        offer(net, 0, &receive, 0);
    }
    if (__atomic_load_n(&transmit.used, __ATOMIC_ACQUIRE) == transmit.available) {
        for (unsigned i = 0; i < sizeof question; i++) {
            sent[i] = question[i];
        }
        describe(&transmit, 0, sent, sizeof question, 0);
        offer(net, 1, &transmit, 0);
    }
}

static void start(void)
{
    GICD[0] = 1;
    find_devices();
    for (unsigned cpu = 1; cpu < CPUS; cpu++) {
        if (psci(0xc4000003, cpu, secondary)) {
            print("CPU_ON failed\n");
        }
    }
    print_number("disks: ", disk_count);
    print(net ? ", a network\n" : "\n");
}

static void finish(void)
{
    while (__atomic_load_n(&ended, __ATOMIC_SEQ_CST) != CPUS) {
    }
    print_number("failures: ", failures);
    print_number(" rounds: ", rounds);
    print_number(" replies: ", replies);
    print("\n");
    psci(0x84000008, 0, 0); /* SYSTEM_OFF */
}

void run(uint64_t cpu)
{
    if (cpu == 0) {
        start();
    }
    GICC[GICC_PRIORITY] = 0xff;
    GICC[0] = 1;
    for (unsigned round = 1; !__atomic_load_n(&enough, __ATOMIC_SEQ_CST); round++) {
        work((unsigned)cpu, round);
        if (cpu == CPUS - 1 && net) {
            ask();
        }
        if (cpu == 0) {
            rounds = round;
            if (!(UART[UART_FLAGS] & UART_EMPTY)) {
                __atomic_store_n(&enough, true, __ATOMIC_SEQ_CST);
            }
        }
    }
    __atomic_fetch_add(&ended, 1, __ATOMIC_SEQ_CST);
    if (cpu == 0) {
        finish();
    }
    psci(0x84000002, 0, 0); /* CPU_OFF */
}
