/* SPDX-License-Identifier: MIT */
/* LOG SENSE of disks (SPC-4, 6.6 and 7.3): the pages there are, the temperature, and that nothing is wrong. */
#include <string.h>

#include "hw/scsi/scsi.h"

enum {
    PAGE_SUPPORTED = 0x00,
    PAGE_TEMPERATURE = 0x0d,
    PAGE_INFORMATIONAL = 0x2f,
    ALL_SUBPAGES = 0xff,
    SUBPAGE_FORMAT = 0x40,
    HEADER = 4,
    PARAMETER = 4,
    BINARY_LIST = 0x03, /* a parameter's control byte */
    TEMPERATURE = 30,   /* degrees Celsius */
    TEMPERATURE_MOST = 65,
};

static const uint8_t pages[] = { PAGE_SUPPORTED, PAGE_TEMPERATURE, PAGE_INFORMATIONAL };

static uint32_t put_parameter(uint8_t *at, uint16_t code, const uint8_t *value, uint8_t size)
{
    store_be16(at, code);
    at[2] = BINARY_LIST;
    at[3] = size;
    memcpy(at + PARAMETER, value, size);
    return PARAMETER + size;
}

static uint32_t put_pages(uint8_t *at, bool with_subpages)
{
    uint32_t size = 0;

    for (unsigned i = 0; i < sizeof pages; i++) {
        at[size++] = pages[i];
        if (with_subpages) {
            at[size++] = 0;
        }
    }
    if (with_subpages) { /* this page itself */
        at[size++] = PAGE_SUPPORTED;
        at[size++] = ALL_SUBPAGES;
    }
    return size;
}

static uint32_t put_temperature(uint8_t *at)
{
    static const uint8_t now[] = { 0, TEMPERATURE }, reference[] = { 0, TEMPERATURE_MOST };
    uint32_t size = put_parameter(at, 0, now, sizeof now);

    return size + put_parameter(at + size, 1, reference, sizeof reference);
}

static uint32_t put_informational(uint8_t *at)
{
    static const uint8_t well[] = { 0, 0, TEMPERATURE, TEMPERATURE_MOST };

    return put_parameter(at, 0, well, sizeof well);
}

ScsiAction scsi_log_sense(ScsiUnit *unit, ScsiCommand *command)
{
    const uint8_t *cdb = command->cdb;
    uint8_t *data = command->buffer, page = cdb[2] & 0x3f, subpage = cdb[3];
    uint32_t size;

    /* Nothing is saved, and parameters come all at once, from the first one on. */
    if (cdb[1] & 3 || load_be16(cdb + 5) || (subpage && subpage != ALL_SUBPAGES) ||
        (subpage && page != PAGE_SUPPORTED)) {
        return scsi_fail_field(unit);
    }
    memset(data, 0, HEADER);
    data[0] = page | (subpage ? SUBPAGE_FORMAT : 0);
    data[1] = subpage;
    switch (page) {
    case PAGE_SUPPORTED:
        size = put_pages(data + HEADER, subpage != 0);
        break;
    case PAGE_TEMPERATURE:
        size = put_temperature(data + HEADER);
        break;
    case PAGE_INFORMATIONAL:
        size = put_informational(data + HEADER);
        break;
    default:
        return scsi_fail_field(unit);
    }
    store_be16(data + 2, (uint16_t)size);
    return scsi_answer(command, HEADER + size, load_be16(cdb + 7));
}
