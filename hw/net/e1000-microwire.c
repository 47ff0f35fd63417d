/* SPDX-License-Identifier: MIT */
/* The pins of the 82540EM's EEPROM (13.4.3, 5.3): Microwire. */
#include "hw/net/e1000.h"

enum {
    EECD_SK = 1 << 0,
    EECD_CS = 1 << 1,
    EECD_DI = 1 << 2,
    EECD_DO = 1 << 3,
    EECD_WRITABLE = EECD_SK | EECD_CS | EECD_DI | 3 << 4 | 1 << 6,
    EECD_REQUEST = 1 << 6,
    EECD_GRANT = 1 << 7,
    EECD_PRESENT = 1 << 8,
    MICROWIRE_BITS = 9, /* start, two of opcode, six of address */
    MICROWIRE_READ = 6,
};

static void clock_bit(E1000 *e, bool bit)
{
    if (e->serial_count < MICROWIRE_BITS) {
        if (e->serial_count || bit) { /* leading zeros are not the start */
            e->serial_in = e->serial_in << 1 | bit;
            e->serial_count++;
        }
        if (e->serial_count == MICROWIRE_BITS && e->serial_in >> 6 == MICROWIRE_READ) {
            /* A zero comes before the data. */
            e->serial_out = e->core.eeprom[e->serial_in % E1000_EEPROM_WORDS];
        }
        return;
    }
    e->serial_out = e->serial_out << 1;
}

uint64_t e1000_read_eecd(Device *device, unsigned index)
{
    const E1000 *e = e1000(device);
    uint32_t value = e->eecd | EECD_PRESENT;

    value |= e->eecd & EECD_REQUEST ? EECD_GRANT : 0;
    return value | (e->serial_count < MICROWIRE_BITS || e->serial_out >> 16 & 1 ? EECD_DO : 0);
}

void e1000_write_eecd(Device *device, unsigned index, uint64_t value)
{
    E1000 *e = e1000(device);
    uint32_t old = e->eecd;

    e->eecd = value & EECD_WRITABLE;
    if (!(e->eecd & EECD_CS) || !(old & EECD_CS)) {
        e->serial_in = e->serial_out = 0;
        e->serial_count = 0;
    }
    if (e->eecd & EECD_CS && e->eecd & EECD_SK && !(old & EECD_SK)) {
        clock_bit(e, e->eecd & EECD_DI);
    }
}
