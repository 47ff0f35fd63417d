/* SPDX-License-Identifier: MIT */
/* The interval timer, the real-time clock and the event timers of a PC. */
#include "hw/rtc/mc146818rtc.h"
#include "tests/device/pc-rig.h"

#define US INT64_C(1000)
#define MS (1000 * US)
#define S  (1000 * MS)
/* Ticks of 1,193,182 Hz, rounded up. */
#define TICKS(n) ((INT64_C(n) * S + 1193181) / 1193182)

static Device *open_pit(PcRig *rig, const char *property)
{
    Device *pit;

    pc_rig_open(rig);
    pit = pc_rig_add(rig, "isa-pit", property);
    device_map_io(pit, 0, 0x40);
    device_map_io(pit, 1, 0x61);
    pc_rig_watch(rig, pit, 0, 0);
    return pit;
}

static void program(PcRig *rig, unsigned channel, unsigned mode, uint16_t count)
{
    pc_rig_out(rig, 0x43, (uint8_t)(channel << 6 | 3 << 4 | mode << 1));
    pc_rig_out(rig, 0x40 + channel, (uint8_t)count);
    pc_rig_out(rig, 0x40 + channel, count >> 8);
}

static uint16_t latched(PcRig *rig, unsigned channel)
{
    uint16_t low;

    pc_rig_out(rig, 0x43, (uint8_t)(channel << 6));
    low = pc_rig_in(rig, 0x40 + channel);
    return (uint16_t)(low | pc_rig_in(rig, 0x40 + channel) << 8);
}

static void test_pit_interrupts(void)
{
    PcRig rig;

    open_pit(&rig, NULL);
    program(&rig, 0, 2, 11932); /* 100 Hz */
    pc_rig_advance(&rig, S);
    g_assert_cmpint(rig.rises[0], >=, 99);
    g_assert_cmpint(rig.rises[0], <=, 100);
    rig.rises[0] = 0;
    program(&rig, 0, 3, 0); /* 18.2 Hz */
    pc_rig_advance(&rig, 10 * S);
    g_assert_cmpint(rig.rises[0], >=, 181);
    g_assert_cmpint(rig.rises[0], <=, 183);
    rig.rises[0] = 0;
    program(&rig, 0, 0, 1000);
    g_assert_cmpint(rig.levels[0], ==, 0);
    pc_rig_advance(&rig, TICKS(998));
    g_assert_cmpint(rig.levels[0], ==, 0);
    pc_rig_advance(&rig, TICKS(5));
    g_assert_cmpint(rig.levels[0], ==, 1);
    pc_rig_advance(&rig, S);
    g_assert_cmpint(rig.rises[0], ==, 1);
    program(&rig, 0, 4, 1000);
    pc_rig_advance(&rig, S);
    g_assert_cmpint(rig.rises[0], ==, 2);
    rig.rises[0] = 0;
    program(&rig, 0, 2, 1); /* a storm is bounded */
    pc_rig_advance(&rig, 100 * MS);
    g_assert_cmpint(rig.rises[0], <=, 5001);
    pc_rig_close(&rig);
}

/* Who never programs it finds what firmware leaves: 18.2 Hz, and the speaker's channel stands. */
static void test_pit_after_reset(void)
{
    PcRig rig;

    open_pit(&rig, NULL);
    device_reset_tree(rig.machine->root);
    g_assert_cmpint(rig.levels[0], ==, 0);
    pc_rig_advance(&rig, 10 * S);
    g_assert_cmpint(rig.rises[0], >=, 181);
    g_assert_cmpint(rig.rises[0], <=, 183);
    g_assert_cmphex(pc_rig_in(&rig, 0x61) & 0x2f, ==, 0x20);
    pc_rig_out(&rig, 0x43, 0xe8); /* read back: status of channel 2 */
    g_assert_cmphex(pc_rig_in(&rig, 0x42), ==, 0xb6);
    g_assert_cmpint(latched(&rig, 2), ==, 0);
    pc_rig_close(&rig);
}

static void test_pit_late(void)
{
    PcRig rig;

    open_pit(&rig, NULL);
    program(&rig, 0, 2, 11932);
    rig.rises[0] = 0; /* the output went up with its mode */
    pc_rig_advance(&rig, 5 * MS);
    pc_rig_jump(&rig, 100 * MS); /* ten are late, and come in half the time */
    g_assert_cmpint(rig.rises[0], ==, 1);
    pc_rig_advance(&rig, 900 * MS);
    g_assert_cmpint(rig.rises[0], >=, 99);
    g_assert_cmpint(rig.rises[0], <=, 101);
    pc_rig_close(&rig);
    open_pit(&rig, "lost_tick_policy=discard");
    program(&rig, 0, 2, 11932);
    rig.rises[0] = 0;
    pc_rig_jump(&rig, 105 * MS);
    pc_rig_advance(&rig, 900 * MS);
    g_assert_cmpint(rig.rises[0], >=, 90);
    g_assert_cmpint(rig.rises[0], <=, 92);
    pc_rig_close(&rig);
}

static void test_pit_counts(void)
{
    PcRig rig;

    open_pit(&rig, NULL);
    program(&rig, 0, 2, 1000);
    pc_rig_advance(&rig, TICKS(101));
    g_assert_cmpint(latched(&rig, 0), ==, 900);
    pc_rig_advance(&rig, TICKS(1000) - 1);
    g_assert_cmpint(latched(&rig, 0), ==, 900);
    pc_rig_out(&rig, 0x43, 0x31); /* BCD */
    pc_rig_out(&rig, 0x40, 0x00);
    pc_rig_out(&rig, 0x40, 0x50);
    pc_rig_advance(&rig, TICKS(101));
    g_assert_cmphex(latched(&rig, 0), ==, 0x4900);
    /* Read-back: status and count of two channels. */
    program(&rig, 1, 3, 18);
    pc_rig_out(&rig, 0x43, 0xc6);
    g_assert_cmphex(pc_rig_in(&rig, 0x40) & 0x7f, ==, 0x31);
    g_assert_cmphex(pc_rig_in(&rig, 0x40), ==, 0x00);
    g_assert_cmphex(pc_rig_in(&rig, 0x40), ==, 0x49);
    g_assert_cmphex(pc_rig_in(&rig, 0x41), ==, 0xb6);
    pc_rig_out(&rig, 0x43, 0x76);
    pc_rig_out(&rig, 0x43, 0xe4);
    g_assert_cmphex(pc_rig_in(&rig, 0x41), ==, 0xf6); /* no count yet */
    pc_rig_close(&rig);
}

/* As systems measure their CPUs' speed: channel 2 counts while port 0x61 opens its gate. */
static void test_pit_speaker(void)
{
    PcRig rig;
    uint8_t refresh;

    open_pit(&rig, NULL);
    pc_rig_out(&rig, 0x61, 0);
    program(&rig, 2, 0, 11932);
    pc_rig_advance(&rig, S);
    g_assert_cmphex(pc_rig_in(&rig, 0x61) & 0x23, ==, 0);
    pc_rig_out(&rig, 0x61, 1);
    pc_rig_advance(&rig, 9 * MS);
    g_assert_cmphex(pc_rig_in(&rig, 0x61) & 0x23, ==, 1);
    pc_rig_out(&rig, 0x61, 0);
    pc_rig_advance(&rig, S);
    pc_rig_out(&rig, 0x61, 1);
    pc_rig_advance(&rig, MS / 2);
    g_assert_cmphex(pc_rig_in(&rig, 0x61) & 0x23, ==, 1);
    pc_rig_advance(&rig, MS);
    g_assert_cmphex(pc_rig_in(&rig, 0x61) & 0x23, ==, 0x21);
    refresh = pc_rig_in(&rig, 0x61) & 0x10;
    pc_rig_advance(&rig, 15085);
    g_assert_cmphex(pc_rig_in(&rig, 0x61) & 0x10, !=, refresh);
    /* Modes 1 and 5 wait for the gate to rise. */
    pc_rig_out(&rig, 0x61, 0);
    program(&rig, 2, 1, 100);
    pc_rig_advance(&rig, S);
    g_assert_cmphex(pc_rig_in(&rig, 0x61) & 0x20, ==, 0x20);
    pc_rig_out(&rig, 0x61, 1);
    pc_rig_advance(&rig, TICKS(10));
    g_assert_cmphex(pc_rig_in(&rig, 0x61) & 0x20, ==, 0);
    pc_rig_advance(&rig, TICKS(100));
    g_assert_cmphex(pc_rig_in(&rig, 0x61) & 0x20, ==, 0x20);
    pc_rig_close(&rig);
}

/* RTC */

static Device *open_rtc(PcRig *rig, const char *property)
{
    Device *rtc;

    pc_rig_open(rig);
    rtc = pc_rig_add(rig, "mc146818rtc", property);
    device_map_io(rtc, 0, 0x70);
    pc_rig_watch(rig, rtc, 0, 0);
    return rtc;
}

static uint8_t rtc_read(PcRig *rig, uint8_t index)
{
    pc_rig_out(rig, 0x70, index);
    return pc_rig_in(rig, 0x71);
}

static void rtc_write(PcRig *rig, uint8_t index, uint8_t value)
{
    pc_rig_out(rig, 0x70, index);
    pc_rig_out(rig, 0x71, value);
}

/* 1,000,000 s is 1970-01-12 13:46:40, a Monday. */
static void test_rtc_time(void)
{
    static const uint8_t bcd[] = { 0x40, 0, 0x46, 0, 0x13, 0, 2, 0x12, 1, 0x70 };
    PcRig rig;

    open_rtc(&rig, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(bcd); i++) {
        g_assert_cmphex(rtc_read(&rig, (uint8_t)i), ==, bcd[i]);
    }
    g_assert_cmphex(rtc_read(&rig, 0x32), ==, 0x19);
    g_assert_cmphex(rtc_read(&rig, 0x37), ==, 0x19);
    g_assert_cmphex(rtc_read(&rig, 0x0a), ==, 0x26);
    g_assert_cmphex(rtc_read(&rig, 0x0d), ==, 0x80);
    pc_rig_advance(&rig, 999 * MS + 800 * US);
    g_assert_cmphex(rtc_read(&rig, 0x0a), ==, 0xa6);
    g_assert_cmphex(rtc_read(&rig, 0), ==, 0x40);
    pc_rig_advance(&rig, 200 * US);
    g_assert_cmphex(rtc_read(&rig, 0x0a), ==, 0x26);
    g_assert_cmphex(rtc_read(&rig, 0), ==, 0x41);
    rtc_write(&rig, 0x0b, 0x04); /* binary, 12 hours */
    g_assert_cmphex(rtc_read(&rig, 4), ==, 0x81);
    g_assert_cmpint(rtc_read(&rig, 2), ==, 46);
    /* Setting: it stands meanwhile. */
    rtc_write(&rig, 0x0b, 0x82);
    rtc_write(&rig, 0, 0x59);
    rtc_write(&rig, 2, 0x59);
    rtc_write(&rig, 4, 0x23);
    rtc_write(&rig, 7, 0x29);
    rtc_write(&rig, 8, 0x02);
    rtc_write(&rig, 9, 0x24);
    rtc_write(&rig, 0x32, 0x20);
    pc_rig_advance(&rig, 5 * S);
    g_assert_cmphex(rtc_read(&rig, 0), ==, 0x59);
    rtc_write(&rig, 0x0b, 0x02);
    pc_rig_advance(&rig, S);
    g_assert_cmphex(rtc_read(&rig, 0), ==, 0);
    g_assert_cmphex(rtc_read(&rig, 4), ==, 0);
    g_assert_cmphex(rtc_read(&rig, 7), ==, 1);
    g_assert_cmphex(rtc_read(&rig, 8), ==, 3);
    g_assert_cmphex(rtc_read(&rig, 6), ==, 6); /* Friday */
    /* A date that is far away is one, too. */
    rtc_write(&rig, 0x0b, 0x82);
    rtc_write(&rig, 4, 0x23);
    rtc_write(&rig, 2, 0x59);
    rtc_write(&rig, 0, 0x59);
    rtc_write(&rig, 7, 0x31);
    rtc_write(&rig, 8, 0x12);
    rtc_write(&rig, 9, 0x99);
    rtc_write(&rig, 0x32, 0x29);
    rtc_write(&rig, 0x0b, 0x02);
    pc_rig_advance(&rig, S);
    g_assert_cmphex(rtc_read(&rig, 9), ==, 0);
    g_assert_cmphex(rtc_read(&rig, 0x32), ==, 0x30);
    g_assert_cmphex(rtc_read(&rig, 7), ==, 1);
    g_assert_cmphex(rtc_read(&rig, 8), ==, 1);
    g_assert_cmphex(rtc_read(&rig, 6), ==, 4); /* Wednesday */
    pc_rig_close(&rig);
}

/* What is saved is the guest's date, however far away: 2130 and, by the same bits, dates of the next span of 400 years. */
static void test_rtc_saved(void)
{
    static const uint8_t centuries[] = { 0x21, 0x22, 0x29 };
    g_autoptr(GByteArray) out = NULL;
    g_autoptr(GError) error = NULL;

    for (unsigned i = 0; i < G_N_ELEMENTS(centuries); i++) {
        PcRig rig;
        Device *rtc = open_rtc(&rig, NULL);

        rtc_write(&rig, 9, 0x30);
        rtc_write(&rig, 0x32, centuries[i]);
        out = g_byte_array_new();
        state_save(rtc->type->state, rtc, out);
        rtc_write(&rig, 9, 0x99);
        state_load(rtc->type->state, rtc, "rtc", rtc->type->state_version, out->data, out->len,
                   &error);
        g_assert_no_error(error);
        g_assert_cmphex(rtc_read(&rig, 9), ==, 0x30);
        g_assert_cmphex(rtc_read(&rig, 0x32), ==, centuries[i]);
        g_assert_cmphex(rtc_read(&rig, 2), ==, 0x46);
        g_clear_pointer(&out, g_byte_array_unref);
        pc_rig_close(&rig);
    }
}

static void test_rtc_alarm(void)
{
    PcRig rig;

    open_rtc(&rig, NULL);
    rtc_write(&rig, 1, 0x10);
    rtc_write(&rig, 3, 0x47);
    rtc_write(&rig, 5, 0xff);
    rtc_write(&rig, 0x0b, 0x22);
    pc_rig_advance(&rig, 29 * S);
    g_assert_cmpint(rig.levels[0], ==, 0);
    pc_rig_advance(&rig, S);
    g_assert_cmpint(rig.levels[0], ==, 1);
    g_assert_cmphex(rtc_read(&rig, 0x0c), ==, 0xf0);
    g_assert_cmpint(rig.levels[0], ==, 0);
    pc_rig_advance(&rig, 3600 * S);
    g_assert_cmphex(rtc_read(&rig, 0x0c), ==, 0xf0);
    rtc_write(&rig, 1, 0x99); /* no such second */
    rtc_write(&rig, 0x0b, 0x32);
    pc_rig_advance(&rig, S);
    g_assert_cmphex(rtc_read(&rig, 0x0c) & 0xb0, ==, 0x90);
    pc_rig_close(&rig);
}

static void test_rtc_periodic(void)
{
    PcRig rig;
    unsigned taken = 0;

    open_rtc(&rig, NULL);
    rtc_write(&rig, 0x0b, 0x42);
    for (int i = 0; i < 1000; i++) { /* 1024 Hz, by default */
        pc_rig_advance(&rig, MS);
        taken += rig.levels[0];
        rtc_read(&rig, 0x0c);
    }
    g_assert_cmpint(rig.rises[0], >=, 999);
    g_assert_cmpint(taken, >=, 999);
    rtc_write(&rig, 0x0b, 0x02);
    rtc_read(&rig, 0x0c);
    pc_rig_advance(&rig, 10 * MS);
    g_assert_cmphex(rtc_read(&rig, 0x0c), ==, 0x40); /* the flag alone */
    pc_rig_close(&rig);
}

/* Late interrupts are made up for, or not. */
static void test_rtc_slew(void)
{
    static const char *const policies[] = { "lost_tick_policy=discard", "lost_tick_policy=slew" };

    for (int slew = 0; slew < 2; slew++) {
        PcRig rig;
        unsigned count = 0;

        open_rtc(&rig, policies[slew]);
        rtc_write(&rig, 0x0b, 0x42);
        pc_rig_jump(&rig, 500 * MS);
        for (int i = 0; i < 600; i++) {
            while (rig.levels[0] && rtc_read(&rig, 0x0c) & 0x40) {
                count++;
            }
            pc_rig_advance(&rig, MS / 2);
        }
        if (slew) {
            g_assert_cmpint(count, >=, 800);
            g_assert_cmpint(count, <=, 820);
        } else {
            g_assert_cmpint(count, <=, 310);
        }
        pc_rig_close(&rig);
    }
}

static void test_rtc_cmos(void)
{
    PcRig rig;
    Device *rtc = open_rtc(&rig, NULL);

    mc146818rtc_set_cmos(rtc, 0x3d, 0x12);
    g_assert_cmphex(rtc_read(&rig, 0x3d), ==, 0x12);
    g_assert_cmphex(rtc_read(&rig, 0x80 | 0x3d), ==, 0x12);
    rtc_write(&rig, 0x0f, 0x0a);
    rtc_write(&rig, 0x0b, 0x72);
    device_reset_tree(rtc);
    g_assert_cmphex(rtc_read(&rig, 0x0f), ==, 0x0a);
    g_assert_cmphex(rtc_read(&rig, 0x0b), ==, 0x02);
    g_assert_cmphex(pc_rig_in(&rig, 0x70), ==, 0xff);
    pc_rig_close(&rig);
}

/* HPET */

enum { HPET = PC_HPET_ADDRESS, HPET_COUNTER = HPET + 0xf0, HPET_TIMER = HPET + 0x100 };

static Device *open_hpet(PcRig *rig)
{
    Device *hpet;

    pc_rig_open(rig);
    hpet = pc_rig_add(rig, "hpet", NULL);
    device_map(hpet, 0, HPET);
    for (int i = 0; i < PC_GSI_COUNT; i++) {
        pc_rig_watch(rig, hpet, (unsigned)i, i);
    }
    return hpet;
}

static uint32_t peek(PcRig *rig, uint64_t address)
{
    return pc_rig_read(rig, 0, address);
}

static void poke(PcRig *rig, uint64_t address, uint32_t value)
{
    pc_rig_write(rig, 0, address, value);
}

static void test_hpet_counter(void)
{
    PcRig rig;
    uint64_t value;

    open_hpet(&rig);
    g_assert_cmphex(peek(&rig, HPET), ==, 0x8086a201);
    g_assert_cmphex(peek(&rig, HPET + 4), ==, 10000000);
    g_assert_cmphex(peek(&rig, HPET_TIMER), ==, 0x30);
    g_assert_cmphex(peek(&rig, HPET_TIMER + 4), ==, 4);
    g_assert_cmphex(peek(&rig, HPET_TIMER + 8), ==, 0xffffffff);
    pc_rig_advance(&rig, S);
    g_assert_cmphex(peek(&rig, HPET_COUNTER), ==, 0);
    poke(&rig, HPET_COUNTER, 0xffffff00);
    poke(&rig, HPET + 0x10, 1);
    pc_rig_advance(&rig, 0x200 * 10);
    g_assert_cmphex(peek(&rig, HPET_COUNTER), ==, 0x100);
    g_assert_cmphex(peek(&rig, HPET_COUNTER + 4), ==, 1);
    address_space_read(&rig.machine->memory_space, HPET_COUNTER, &value, 8,
                       (MemoryAttributes){ .vcpu = 0 });
    g_assert_cmphex(value, ==, UINT64_C(0x100000100));
    poke(&rig, HPET + 0x10, 0);
    pc_rig_advance(&rig, S);
    g_assert_cmphex(peek(&rig, HPET_COUNTER), ==, 0x100);
    pc_rig_close(&rig);
}

static void test_hpet_timers(void)
{
    PcRig rig;

    open_hpet(&rig);
    poke(&rig, HPET + 0x10, 1);
    /* One-shot, by edge, on 2. */
    poke(&rig, HPET_TIMER, 1 << 2 | 2 << 9);
    poke(&rig, HPET_TIMER + 8, 100000);
    poke(&rig, HPET_TIMER + 12, 0);
    pc_rig_advance(&rig, 999 * US);
    g_assert_cmpint(rig.rises[2], ==, 0);
    pc_rig_advance(&rig, US);
    g_assert_cmpint(rig.rises[2], ==, 1);
    g_assert_cmpint(rig.levels[2], ==, 0);
    pc_rig_advance(&rig, 100 * S);
    g_assert_cmpint(rig.rises[2], ==, 1);
    /* Periodic, by level, 32 bits, programmed as Linux does. */
    poke(&rig, HPET_TIMER, 1 << 1 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 8 | 2 << 9);
    poke(&rig, HPET_TIMER + 8, peek(&rig, HPET_COUNTER) + 100000);
    poke(&rig, HPET_TIMER + 8, 100000);
    for (int i = 0; i < 5; i++) {
        g_assert_cmpint(rig.levels[2], ==, 0);
        pc_rig_advance(&rig, MS);
        g_assert_cmpint(rig.levels[2], ==, 1);
        g_assert_cmphex(peek(&rig, HPET + 0x20), ==, 1);
        poke(&rig, HPET + 0x20, 1);
    }
    poke(&rig, HPET_TIMER + 8, 1); /* a storm is bounded */
    poke(&rig, HPET_TIMER, 1 << 2 | 1 << 3 | 1 << 8 | 2 << 9);
    rig.rises[2] = 0;
    pc_rig_advance(&rig, 100 * MS);
    g_assert_cmpint(rig.rises[2], <=, 5001);
    g_assert_cmpint(rig.rises[2], >=, 1000);
    poke(&rig, HPET_TIMER + 8, 0);
    pc_rig_advance(&rig, 100 * MS);
    pc_rig_close(&rig);
}

/* One whose interrupt is off costs nobody a timer, and has moved on when somebody looks; what passed meanwhile is no interrupt. */
static void test_hpet_unheard(void)
{
    PcRig rig;

    open_hpet(&rig);
    poke(&rig, HPET + 0x10, 1);
    poke(&rig, HPET_TIMER, 1 << 3 | 1 << 6 | 1 << 8 | 2 << 9);
    poke(&rig, HPET_TIMER + 8, 100000);
    poke(&rig, HPET_TIMER + 8, 100000);
    pc_rig_advance(&rig, 10 * MS + 500 * US);
    g_assert_cmphex(peek(&rig, HPET_TIMER + 8), ==, 1100000);
    pc_rig_advance(&rig, 5 * MS);
    poke(&rig, HPET_TIMER, 1 << 2 | 1 << 3 | 1 << 8 | 2 << 9);
    g_assert_cmpint(rig.rises[2], ==, 0);
    pc_rig_advance(&rig, 499 * US);
    g_assert_cmpint(rig.rises[2], ==, 0);
    pc_rig_advance(&rig, US);
    g_assert_cmpint(rig.rises[2], ==, 1);
    pc_rig_close(&rig);
}

/* The PIT and the RTC go through, unless their places are taken. */
static void test_hpet_legacy(void)
{
    PcRig rig;
    Device *hpet = open_hpet(&rig);

    hpet->type->input(hpet, HPET_INPUT_PIT, 1);
    hpet->type->input(hpet, HPET_INPUT_RTC, 1);
    g_assert_cmpint(rig.levels[0], ==, 1);
    g_assert_cmpint(rig.levels[8], ==, 1);
    poke(&rig, HPET + 0x10, 3);
    g_assert_cmpint(rig.levels[0], ==, 0);
    g_assert_cmpint(rig.levels[8], ==, 0);
    hpet->type->input(hpet, HPET_INPUT_PIT, 0);
    hpet->type->input(hpet, HPET_INPUT_PIT, 1);
    g_assert_cmpint(rig.rises[0], ==, 1);
    for (unsigned i = 0; i < 2; i++) {
        poke(&rig, HPET_TIMER + i * 0x20, 1 << 2 | 2 << 9);
        poke(&rig, HPET_TIMER + i * 0x20 + 8, 1000);
        poke(&rig, HPET_TIMER + i * 0x20 + 12, 0);
    }
    pc_rig_advance(&rig, MS);
    g_assert_cmpint(rig.rises[0], ==, 2);
    g_assert_cmpint(rig.rises[8], ==, 2);
    g_assert_cmpint(rig.rises[2], ==, 0);
    poke(&rig, HPET + 0x10, 1);
    g_assert_cmpint(rig.levels[0], ==, 1);
    pc_rig_close(&rig);
}

void test_pc_timers(void)
{
    g_test_add_func("/pc-timers/pit-interrupts", test_pit_interrupts);
    g_test_add_func("/pc-timers/pit-after-reset", test_pit_after_reset);
    g_test_add_func("/pc-timers/pit-late", test_pit_late);
    g_test_add_func("/pc-timers/pit-counts", test_pit_counts);
    g_test_add_func("/pc-timers/pit-speaker", test_pit_speaker);
    g_test_add_func("/pc-timers/rtc-time", test_rtc_time);
    g_test_add_func("/pc-timers/rtc-saved", test_rtc_saved);
    g_test_add_func("/pc-timers/rtc-alarm", test_rtc_alarm);
    g_test_add_func("/pc-timers/rtc-periodic", test_rtc_periodic);
    g_test_add_func("/pc-timers/rtc-slew", test_rtc_slew);
    g_test_add_func("/pc-timers/rtc-cmos", test_rtc_cmos);
    g_test_add_func("/pc-timers/hpet-counter", test_hpet_counter);
    g_test_add_func("/pc-timers/hpet-timers", test_hpet_timers);
    g_test_add_func("/pc-timers/hpet-unheard", test_hpet_unheard);
    g_test_add_func("/pc-timers/hpet-legacy", test_hpet_legacy);
}
