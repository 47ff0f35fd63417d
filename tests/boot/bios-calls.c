/* SPDX-License-Identifier: MIT */
/*
 * A 16-bit program on a disk that calls the firmware's services (Ralf Brown's interrupt list) as DOS and boot loaders do, and tells on the debug
 * console (port 0xe9) what they answer. test-bios-calls.py compares, types, and moves the mouse. Ends by isa-debug-exit.
 */
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint32_t ax, bx, cx, dx, si, di, bp, flags, es;
} Registers;

Registers regs; /* bios-calls.S knows its layout */
volatile uint32_t ticks, alarms, mouse_packets;
volatile uint16_t mouse_status, mouse_x, mouse_y;
extern uint8_t boot_drive;
void bios(unsigned vector);
void on_tick(void), on_alarm(void), on_mouse(void);
void run(void);

enum { CARRY = 1, ZERO = 0x40, INTERRUPTS = 0x200 };

static void outb(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static uint8_t peek8(uint32_t linear)
{
    uint8_t value;

    __asm__ volatile("movw %w1, %%fs; movb %%fs:(%2), %0"
                     : "=q"(value)
                     : "r"(linear >> 4), "r"(linear & 15)
                     : "memory");
    return value;
}

static void poke8(uint32_t linear, uint8_t value)
{
    __asm__ volatile("movw %w1, %%fs; movb %0, %%fs:(%2)"
                     :
                     : "q"(value), "r"(linear >> 4), "r"(linear & 15)
                     : "memory");
}

static void set_vector(unsigned vector, void (*handler)(void))
{
    for (unsigned i = 0; i < 4; i++) {
        poke8(vector * 4 + i, (uint8_t)((uint32_t)handler >> i * 8)); /* in segment 0 */
    }
}

/* --- telling --- */

static void say(const char *text)
{
    while (*text) {
        outb(0xe9, (uint8_t)*text++);
    }
}

static void tell(const char *name, uint32_t value)
{
    say(name);
    say(" ");
    for (int shift = 28; shift >= 0; shift -= 4) {
        if (value >> shift || shift == 0) {
            outb(0xe9, (uint8_t) "0123456789abcdef"[value >> shift & 15]);
        }
    }
    say("\n");
}

static void call(unsigned vector, uint32_t ax)
{
    regs.ax = ax;
    regs.flags = INTERRUPTS;
    bios(vector);
}

static bool failed(void)
{
    return regs.flags & CARRY;
}

/* --- INT 10h --- */

static void print(const char *text)
{
    while (*text) {
        regs.bx = 7;
        call(0x10, 0x0e00 | (uint8_t)*text++);
    }
}

static void text_modes(void)
{
    static const uint8_t modes[] = { 0, 1, 2, 3, 7 };

    for (unsigned i = 0; i < sizeof modes; i++) {
        call(0x10, modes[i]);
        tell("mode", modes[i]);
        call(0x10, 0x0f00);
        tell(" now", regs.ax & 0xffff); /* columns, mode */
        print("ab\r\ncd");
        regs.bx = 0;
        call(0x10, 0x0300);
        tell(" cursor", regs.dx & 0xffff);
        regs.bx = 0;
        regs.dx = 0x0100;
        call(0x10, 0x0200);
        call(0x10, 0x0800); /* what is there */
        tell(" cell", regs.ax & 0xffff);
        tell(" memory", peek8(modes[i] == 7 ? 0xb0000 : 0xb8000));
        regs.bx = 0x1e;
        regs.cx = 3;
        call(0x10, 0x095a); /* ZZZ in yellow on blue */
        call(0x10, 0x0800);
        tell(" cell", regs.ax & 0xffff);
        regs.bx = 0x0700;
        regs.cx = 0;
        regs.dx = 0x0427;
        call(0x10, 0x0601); /* the top left up by one */
        regs.bx = 0;
        regs.dx = 0;
        call(0x10, 0x0200);
        call(0x10, 0x0800);
        tell(" cell", regs.ax & 0xffff);
    }
    call(0x10, 3);
    regs.bx = 0;
    call(0x10, 0x1112); /* 8 by 8: 50 lines */
    tell("lines", peek8(0x484));
    call(0x10, 0x1a00);
    tell("display", regs.bx & 0xffff);
}

static void graphics_modes(void)
{
    static const uint8_t modes[] = { 4, 6, 0xd, 0xe, 0x10, 0x11, 0x12, 0x13 };

    for (unsigned i = 0; i < sizeof modes; i++) {
        call(0x10, modes[i]);
        tell("mode", modes[i]);
        for (unsigned pixel = 0; pixel < 3; pixel++) {
            regs.bx = 0;
            regs.cx = 101 + pixel;
            regs.dx = 77;
            call(0x10, 0x0c00 | (pixel + 1));
        }
        for (unsigned pixel = 0; pixel < 4; pixel++) {
            regs.bx = 0;
            regs.cx = 101 + pixel;
            regs.dx = 77;
            call(0x10, 0x0d00);
            tell(" pixel", regs.ax & 0xff);
        }
        print("X");
    }
}

static uint8_t buffer[4096] __attribute__((aligned(16)));

static void vesa(void)
{
    *(uint32_t *)buffer = 0x32454256; /* "VBE2" */
    regs.di = (uint32_t)buffer;
    regs.es = 0;
    call(0x10, 0x4f00);
    tell("vbe", regs.ax & 0xffff);
    tell(" version", *(uint16_t *)(buffer + 4));
    tell(" memory", *(uint16_t *)(buffer + 18));
    regs.cx = 0x101;
    regs.di = (uint32_t)buffer;
    call(0x10, 0x4f01);
    tell(" width", *(uint16_t *)(buffer + 18));
    tell(" bits", buffer[25]);
    regs.bx = 0x101;
    call(0x10, 0x4f02);
    tell(" set", regs.ax & 0xffff);
    call(0x10, 0x4f03);
    tell(" mode", regs.bx & 0xffff);
    for (unsigned bank = 0; bank < 4; bank++) {
        regs.bx = 0;
        regs.dx = bank;
        call(0x10, 0x4f05);
        poke8(0xa1234, (uint8_t)(0x40 + bank));
    }
    for (unsigned bank = 0; bank < 4; bank++) {
        regs.bx = 0;
        regs.dx = bank;
        call(0x10, 0x4f05);
        tell(" bank", peek8(0xa1234));
    }
    call(0x10, 3);
}

/* --- INT 13h --- */

static void read_chs(uint8_t drive, uint16_t cylinder_sector, uint8_t head, uint8_t count)
{
    regs.dx = (uint32_t)head << 8 | drive;
    regs.cx = cylinder_sector;
    regs.bx = (uint32_t)buffer;
    regs.es = 0;
    call(0x13, 0x0200 | count);
    tell(failed() ? " failed" : " read", regs.ax & 0xffff);
    tell(" first", *(uint32_t *)buffer);
    tell(" last", *(uint32_t *)(buffer + count * 512 - 4));
}

static struct {
    uint8_t size, zero;
    uint16_t count, offset, segment;
    uint32_t low, high;
} packet = { .size = 16 };

static void extended(uint8_t function, uint32_t block, uint16_t count)
{
    packet.count = count;
    packet.offset = (uint16_t)(uint32_t)buffer;
    packet.low = block;
    regs.si = (uint32_t)&packet;
    regs.dx = boot_drive;
    call(0x13, (uint32_t)function << 8);
}

static void disk(void)
{
    tell("drive", boot_drive);
    regs.dx = boot_drive;
    regs.es = regs.di = 0;
    call(0x13, 0x0800);
    tell(" geometry", (regs.cx & 0xffff) << 16 | (regs.dx & 0xffff));
    regs.dx = boot_drive;
    regs.bx = 0x55aa;
    call(0x13, 0x4100);
    tell(" extensions", (regs.bx & 0xffff) << 16 | (regs.cx & 0xffff));
    read_chs(boot_drive, 0x0102, 0, 8); /* block 1009 with 63 by 16 */
    extended(0x42, 2000, 8);
    tell(failed() ? " failed" : " extended", regs.ax >> 8 & 0xff);
    tell(" first", *(uint32_t *)buffer);
    tell(" last", *(uint32_t *)(buffer + sizeof buffer - 4));
    for (unsigned i = 0; i < 512; i++) {
        buffer[i] = (uint8_t)(i * 7);
    }
    extended(0x43, 3000, 1);
    tell(failed() ? " failed" : " written", regs.ax >> 8 & 0xff);
    buffer[1] = 0;
    extended(0x42, 3000, 1);
    tell(" back", *(uint32_t *)buffer);
    extended(0x42, 0x7fffffff, 1);
    tell(failed() ? " beyond" : " read", regs.ax >> 8 & 0xff);
}

static void floppy(void)
{
    regs.dx = 0;
    regs.es = regs.di = 0;
    call(0x13, 0x0800);
    tell("floppy", (regs.bx & 0xff) << 16 | (regs.cx & 0xffff));
    regs.dx = 0;
    call(0x13, 0x0000);
    read_chs(0, 0x0503, 1, 4); /* block 5 * 36 + 18 + 2 */
    buffer[0] = 0x77;
    regs.dx = 0;
    regs.cx = 0x0505;
    regs.bx = (uint32_t)buffer;
    call(0x13, 0x0301);
    tell(failed() ? " failed" : " written", regs.ax & 0xffff);
    buffer[0] = 0;
    read_chs(0, 0x0505, 0, 1);
}

/* --- time --- */

static void wait_ticks(uint32_t count)
{
    uint32_t end = ticks + count;

    while ((int32_t)(end - ticks) > 0) {
        __asm__ volatile("hlt");
    }
}

static uint32_t clock(uint8_t function)
{
    call(0x1a, (uint32_t)function << 8);
    return (regs.cx & 0xffff) << 16 | (regs.dx & 0xffff);
}

static void times(void)
{
    uint32_t before, after;

    set_vector(0x1c, on_tick);
    before = clock(0);
    wait_ticks(9);
    after = clock(0);
    tell("ticks", after - before >= 9 && after - before < 40);
    tell("date", clock(4));
    before = clock(2);
    do {
        after = clock(2);
    } while (after >> 8 == before >> 8 ||
             (after >> 8 & 0xff) == 0x59); /* so that the next one is of the same minute */
    tell("time", after);

    set_vector(0x4a, on_alarm);
    regs.cx = after >> 16;
    regs.dx = (after & 0xff00) + ((after & 0x0f00) == 0x0900 ? 0x0700 : 0x0100);
    call(0x1a, 0x0600);
    tell("alarm", failed());
    for (unsigned i = 0; i < 60 && !alarms; i++) {
        wait_ticks(1);
    }
    tell(" rang", alarms);
    call(0x1a, 0x0700);

    before = clock(0);
    regs.cx = 3; /* 0x30d40 us = 200 ms, by the clock's periodic interrupt */
    regs.dx = 0x0d40;
    call(0x15, 0x8600);
    tell("waited", !failed() && clock(0) - before >= 3);
}

/* --- INT 15h, 11h, 12h --- */

static void memory(void)
{
    uint32_t usable = 0;

    call(0x12, 0);
    tell("low", regs.ax & 0xffff);
    call(0x11, 0);
    tell("equipment", regs.ax & 0xffff);
    call(0x15, 0x8800);
    tell("extended", regs.ax & 0xffff);
    call(0x15, 0xe801);
    tell("e801", (regs.ax & 0xffff) + (regs.bx & 0xffff) * 64);
    regs.bx = 0;
    do {
        regs.dx = 0x534d4150;
        regs.cx = 20;
        regs.di = (uint32_t)buffer;
        regs.es = 0;
        call(0x15, 0xe820);
        if (!failed() && *(uint32_t *)(buffer + 16) == 1) {
            usable += *(uint32_t *)(buffer + 8) >> 10;
        }
    } while (!failed() && regs.bx);
    tell("e820", usable);
    call(0x15, 0x5300);
    tell("apm", failed() ? 0xffff : regs.bx & 0xffff);
    call(0x15, 0xc000);
    tell("model", peek8(regs.es * 16 + (regs.bx & 0xffff) + 2));
}

/* A20 as programs find it, and a block move, which is protected mode in the firmware. */
static void high_memory(void)
{
    static uint8_t table[48] __attribute__((aligned(8)));
    static const char text[16] = "moved up and dow";

    call(0x15, 0x2400);
    call(0x15, 0x2402);
    tell("a20", regs.ax & 0xff);
    call(0x15, 0x2401);
    call(0x15, 0x2402);
    tell("a20", regs.ax & 0xff);
    for (unsigned step = 0; step < 2; step++) {
        uint32_t low = (uint32_t)(step ? (const void *)buffer : text), high = 0x200000;
        uint32_t from = step ? high : low, to = step ? low : high;

        for (unsigned i = 0; i < 2; i++) {
            uint8_t *d = table + 0x10 + i * 8;

            *(uint16_t *)d = 0xffff;
            *(uint32_t *)(d + 2) = (i ? to : from) | 0x93000000;
            *(uint16_t *)(d + 6) = 0;
        }
        regs.cx = sizeof text / 2;
        regs.si = (uint32_t)table;
        regs.es = 0;
        call(0x15, 0x8700);
        tell("moved", regs.ax >> 8 & 0xff);
    }
    buffer[16] = 0;
    say((const char *)buffer);
    say("\n");
}

/* --- keyboard, mouse --- */

static void keyboard(void)
{
    regs.cx = 0x1234;
    call(0x16, 0x0500);
    call(0x16, 0x0100);
    tell("stored", regs.flags & ZERO ? 0 : regs.ax & 0xffff);
    call(0x16, 0x0000);
    tell("keys", regs.ax & 0xffff);
    for (unsigned i = 0; i < 4; i++) {
        call(0x16, 0x1000);
        tell(" key", regs.ax & 0xffff);
        call(0x16, 0x0200);
        tell(" shift", regs.ax & 0xff);
    }
}

static void mouse(void)
{
    regs.bx = 0x0300;
    call(0x15, 0xc205);
    tell("mouse", failed() ? regs.ax >> 8 & 0xff : 0);
    regs.es = 0;
    regs.bx = (uint32_t)on_mouse;
    call(0x15, 0xc207);
    regs.bx = 0x0100;
    call(0x15, 0xc200);
    tell("enabled", failed());
    for (unsigned last = 0; last < 3;) {
        if (mouse_packets != last) {
            last = mouse_packets;
            tell(" status", mouse_status & 0xff);
            tell(" x", mouse_x & 0xff);
            tell(" y", mouse_y & 0xff);
        }
        __asm__ volatile("hlt");
    }
}

void run(void)
{
    memory();
    text_modes();
    graphics_modes();
    vesa();
    disk();
    floppy();
    high_memory();
    times();
    keyboard();
    mouse();
    say("done\n");
    outb(0x501, 0x10);
}
