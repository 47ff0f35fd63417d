/* SPDX-License-Identifier: MIT */
/*
 * A PC kernel (multiboot) whose screen does what screens do, at the pace of the PIT's 18.2 ticks a second, so that what looking at it costs can be
 * measured without an operating system. An order comes as a letter on COM1, and is carried out for TICKS ticks; then a dot is the answer.
 *   s  a terminal of 100 x 40 scrolls by ten lines each second tick    l  by one line each tick    k  a sign is typed each tick
 *   f  a film on the full screen, each second tick                     t  as s, on the text screen that the firmware left (before the others)
 *   n  nothing happens
 *   e  a sign is typed for each key that is pressed, until something comes on COM1
 */
#include <stddef.h>
#include <stdint.h>

enum { WIDTH = 1280, HEIGHT = 800, COLUMNS = 100, ROWS = 40, CELL = 16, TICKS = 90 };
enum { COM1 = 0x3f8, PERIOD = 2048, GATES = 0x22 };

/* The header, and what happens first and at each tick. */
asm(".section .text.start\n"
    "        .balign 4\n"
    "        .long 0x1badb002, 3, -(0x1badb002 + 3)\n"
    "        .global _start\n"
    "_start: movl $stack + 65536, %esp\n"
    "        call run\n"
    "timer:  pushl %eax\n"
    "        movb $0x20, %al\n"
    "        outb %al, $0x20\n"
    "        popl %eax\n"
    "        iret\n"
    "        .text\n");
uint8_t stack[65536];
extern char timer[];
void run(void);

typedef struct __attribute__((packed)) {
    uint16_t limit;
    uint32_t base;
} Table;

static uint8_t font[256][32];
static uint32_t *pixels, film[PERIOD + WIDTH];
static uint64_t gates[GATES];
static uint32_t segments[6] = { 0, 0, 0xffff, 0xcf9a00, 0xffff, 0xcf9200 };
static char line[COLUMNS];
static uint32_t line_number, typed;

static void outb(unsigned port, unsigned value)
{
    asm volatile("outb %b0, %w1" : : "a"(value), "d"(port));
}

static void outw(unsigned port, unsigned value)
{
    asm volatile("outw %w0, %w1" : : "a"(value), "d"(port));
}

static void outl(unsigned port, unsigned value)
{
    asm volatile("outl %0, %w1" : : "a"(value), "d"(port));
}

static unsigned inb(unsigned port)
{
    uint8_t value;

    asm volatile("inb %w1, %0" : "=a"(value) : "d"(port));
    return value;
}

static unsigned inl(unsigned port)
{
    uint32_t value;

    asm volatile("inl %w1, %0" : "=a"(value) : "d"(port));
    return value;
}

static void copy(void *to, const void *from, size_t words)
{
    asm volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
}

static void fill(void *to, uint32_t value, size_t words)
{
    asm volatile("rep stosl" : "+D"(to), "+c"(words) : "a"(value) : "memory");
}

static void wait_for_tick(void)
{
    asm volatile("sti; hlt; cli");
}

static void out_all(const uint16_t (*values)[2], unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        outb(values[i][0], values[i][1]);
    }
}

static void set_up_timer(void)
{
    static const uint16_t chips[][2] = {
        { 0x20, 0x11 }, { 0x21, 0x20 }, { 0x21, 4 }, { 0x21, 1 }, { 0x21, 0xfe },
        { 0xa0, 0x11 }, { 0xa1, 0x28 }, { 0xa1, 2 }, { 0xa1, 1 }, { 0xa1, 0xff },
        { 0x43, 0x34 }, { 0x40, 0 },    { 0x40, 0 },
    };
    uint32_t handler = (uint32_t)timer;
    Table table = { sizeof(segments) - 1, (uint32_t)segments };

    asm volatile("lgdt %0; ljmp $8, $1f; 1: mov %1, %%ds; mov %1, %%es; mov %1, %%ss"
                 :
                 : "m"(table), "r"(16));
    gates[0x20] = gates[0x21] = (handler & 0xffff) | 8 << 16 | (uint64_t)(0x8e00 | (handler & 0xffff0000)) << 32;
    table = (Table){ sizeof(gates) - 1, (uint32_t)gates };
    asm volatile("lidt %0" : : "m"(table));
    out_all(chips, sizeof(chips) / sizeof(*chips));
}

/* The font of the firmware's text mode is in plane 2. */
static void take_font(void)
{
    static const uint16_t open[][2] = { { 0x3c4, 4 }, { 0x3c5, 7 }, { 0x3ce, 4 }, { 0x3cf, 2 },
                                        { 0x3ce, 5 }, { 0x3cf, 0 }, { 0x3ce, 6 }, { 0x3cf, 4 } };
    static const uint16_t close[][2] = {
        { 0x3c4, 4 }, { 0x3c5, 3 },    { 0x3ce, 4 }, { 0x3cf, 0 },
        { 0x3ce, 5 }, { 0x3cf, 0x10 }, { 0x3ce, 6 }, { 0x3cf, 0xe }
    };

    out_all(open, 8);
    copy(font, (void *)0xa0000, sizeof(font) / 4);
    out_all(close, 8);
}

static void find_memory(void)
{
    for (unsigned slot = 0; slot < 32 && !pixels; slot++) {
        outl(0xcf8, 0x80000008 | slot << 11);
        if (inl(0xcfc) >> 16 == 0x300) {
            outl(0xcf8, 0x80000010 | slot << 11);
            pixels = (uint32_t *)(inl(0xcfc) & ~15u);
        }
    }
}

/* Bochs' VBE, a desktop with a white terminal, and the film's one long line. */
static void set_mode(void)
{
    static const uint16_t values[][2] = {
        { 4, 0 }, { 1, WIDTH }, { 2, HEIGHT }, { 3, 32 }, { 4, 0x41 }
    };
    uint32_t seed = 1;

    if (pixels) {
        return;
    }
    find_memory();
    for (unsigned i = 0; i < 5; i++) {
        outw(0x1ce, values[i][0]);
        outw(0x1d0, values[i][1]);
    }
    fill(pixels, 0x335577, WIDTH * HEIGHT);
    for (unsigned y = 0; y < ROWS * CELL; y++) {
        fill(pixels + y * WIDTH, 0xffffff, COLUMNS * 8);
    }
    for (unsigned x = 0; x < PERIOD; x++) {
        seed = seed * 1103515245 + 12345;
        film[x] = (x * 3 & 255) << 16 | (x * x / 97 & 255) << 8 | ((255 - x) & 255) ^ seed >> 29;
    }
    copy(film + PERIOD, film, WIDTH);
}

static unsigned put_number(unsigned at, uint32_t value)
{
    char digits[10];
    unsigned count = 0;

    do {
        digits[count++] = '0' + value % 10;
    } while (value /= 10);
    while (count) {
        line[at++] = digits[--count];
    }
    return at;
}

static void next_line(void)
{
    unsigned at;

    for (at = 0; at < COLUMNS; at++) {
        line[at] = ' ';
    }
    line_number++;
    at = put_number(0, line_number);
    for (const char *text = " the quick brown fox jumps over the lazy dog "; *text; text++) {
        line[at++] = *text;
    }
    at = put_number(at, line_number * line_number * 7919 % 100003);
    put_number(at + 1, line_number * 31337 % 65521);
}

static void draw(unsigned row, unsigned column, uint8_t sign)
{
    for (unsigned y = 0; y < CELL; y++) {
        uint32_t *to = pixels + (row * CELL + y) * WIDTH + column * 8;

        for (unsigned x = 0; x < 8; x++) {
            to[x] = font[sign][y] >> (7 - x) & 1 ? 0 : 0xffffff;
        }
    }
}

static void scroll(unsigned lines)
{
    for (unsigned y = 0; y < (ROWS - lines) * CELL; y++) {
        copy(pixels + y * WIDTH, pixels + (y + lines * CELL) * WIDTH, COLUMNS * 8);
    }
    for (unsigned row = ROWS - lines; row < ROWS; row++) {
        next_line();
        for (unsigned i = 0; i < COLUMNS; i++) {
            draw(row, i, (uint8_t)line[i]);
        }
    }
}

static void scroll_text(unsigned lines)
{
    uint16_t *cells = (uint16_t *)0xb8000;

    copy(cells, cells + lines * 80, (25 - lines) * 40);
    for (unsigned row = 25 - lines; row < 25; row++) {
        next_line();
        for (unsigned i = 0; i < 80; i++) {
            cells[row * 80 + i] = 0x700 | (uint8_t)line[i];
        }
    }
}

/* Each row moves at a speed of its own: nothing that scrolls. */
static void show_film(unsigned n)
{
    for (unsigned y = 0; y < HEIGHT; y++) {
        copy(pixels + y * WIDTH, film + (y * y / 61 + n % 6 * (11 + y % 29)) % PERIOD, WIDTH);
    }
}

static void type(void)
{
    draw(ROWS - 1, typed % COLUMNS, (uint8_t)('a' + typed % 26));
    typed++;
}

/* Interrupts of the keyboard are let in for as long. */
static void echo(void)
{
    outb(0x21, 0xfc);
    while (!(inb(COM1 + 5) & 1)) {
        wait_for_tick();
        while (inb(0x64) & 1) {
            if (inb(0x60) < 0x80) {
                type();
            }
        }
    }
    outb(0x21, 0xfe);
    inb(COM1);
}

static void step(char order, unsigned tick)
{
    if (order == 't' && tick % 2) {
        scroll_text(10);
    } else if (order == 's' && tick % 2) {
        scroll(10);
    } else if (order == 'l') {
        scroll(1);
    } else if (order == 'f' && tick % 2) {
        show_film(tick / 2);
    } else if (order == 'k') {
        type();
    }
}

void run(void)
{
    take_font();
    set_up_timer();
    outb(COM1, '!');
    for (;;) {
        char order;

        wait_for_tick();
        if (!(inb(COM1 + 5) & 1)) {
            continue;
        }
        order = (char)inb(COM1);
        if (order != 't' && order != 'n') {
            set_mode();
        }
        if (order == 'e') {
            echo();
        }
        for (unsigned tick = 0; order != 'e' && tick < TICKS; tick++) {
            wait_for_tick();
            step(order, tick);
        }
        outb(COM1, '.');
    }
}
