/* SPDX-License-Identifier: MIT */
/*
 * Keys: names, Linux codes and scan codes (IBM PS/2 technical reference; Microsoft keyboard scan code specification). Of
 * several names of one key the first is its own.
 */
#include "machine/input.h"

#include <stddef.h>
#include <string.h>

/* clang-format off */
const InputKey input_keys[] = {
    { "esc", 1, 0x01, 0x08 }, { "1", 2, 0x02, 0x16 }, { "2", 3, 0x03, 0x1e }, { "3", 4, 0x04, 0x26 },
    { "4", 5, 0x05, 0x25 }, { "5", 6, 0x06, 0x2e }, { "6", 7, 0x07, 0x36 }, { "7", 8, 0x08, 0x3d },
    { "8", 9, 0x09, 0x3e }, { "9", 10, 0x0a, 0x46 }, { "0", 11, 0x0b, 0x45 }, { "minus", 12, 0x0c, 0x4e },
    { "equal", 13, 0x0d, 0x55 }, { "backspace", 14, 0x0e, 0x66 }, { "tab", 15, 0x0f, 0x0d },
    { "q", 16, 0x10, 0x15 }, { "w", 17, 0x11, 0x1d }, { "e", 18, 0x12, 0x24 }, { "r", 19, 0x13, 0x2d },
    { "t", 20, 0x14, 0x2c }, { "y", 21, 0x15, 0x35 }, { "u", 22, 0x16, 0x3c }, { "i", 23, 0x17, 0x43 },
    { "o", 24, 0x18, 0x44 }, { "p", 25, 0x19, 0x4d }, { "bracket_left", 26, 0x1a, 0x54 },
    { "bracket_right", 27, 0x1b, 0x5b }, { "ret", 28, 0x1c, 0x5a }, { "ctrl", 29, 0x1d, 0x11 },
    { "a", 30, 0x1e, 0x1c }, { "s", 31, 0x1f, 0x1b }, { "d", 32, 0x20, 0x23 }, { "f", 33, 0x21, 0x2b },
    { "g", 34, 0x22, 0x34 }, { "h", 35, 0x23, 0x33 }, { "j", 36, 0x24, 0x3b }, { "k", 37, 0x25, 0x42 },
    { "l", 38, 0x26, 0x4b }, { "semicolon", 39, 0x27, 0x4c }, { "apostrophe", 40, 0x28, 0x52 },
    { "grave_accent", 41, 0x29, 0x0e }, { "shift", 42, 0x2a, 0x12 }, { "backslash", 43, 0x2b, 0x5c },
    { "z", 44, 0x2c, 0x1a }, { "x", 45, 0x2d, 0x22 }, { "c", 46, 0x2e, 0x21 }, { "v", 47, 0x2f, 0x2a },
    { "b", 48, 0x30, 0x32 }, { "n", 49, 0x31, 0x31 }, { "m", 50, 0x32, 0x3a }, { "comma", 51, 0x33, 0x41 },
    { "dot", 52, 0x34, 0x49 }, { "slash", 53, 0x35, 0x4a }, { "shift_r", 54, 0x36, 0x59 },
    { "kp_multiply", 55, 0x37, 0x7e }, { "asterisk", 55, 0x37, 0x7e }, { "alt", 56, 0x38, 0x19 },
    { "spc", 57, 0x39, 0x29 }, { "caps_lock", 58, 0x3a, 0x14 },
    { "f1", 59, 0x3b, 0x07 }, { "f2", 60, 0x3c, 0x0f }, { "f3", 61, 0x3d, 0x17 }, { "f4", 62, 0x3e, 0x1f },
    { "f5", 63, 0x3f, 0x27 }, { "f6", 64, 0x40, 0x2f }, { "f7", 65, 0x41, 0x37 }, { "f8", 66, 0x42, 0x3f },
    { "f9", 67, 0x43, 0x47 }, { "f10", 68, 0x44, 0x4f }, { "num_lock", 69, 0x45, 0x76 },
    { "scroll_lock", 70, 0x46, 0x5f },
    { "kp_7", 71, 0x47, 0x6c }, { "kp_8", 72, 0x48, 0x75 }, { "kp_9", 73, 0x49, 0x7d },
    { "kp_subtract", 74, 0x4a, 0x84 }, { "kp_4", 75, 0x4b, 0x6b }, { "kp_5", 76, 0x4c, 0x73 },
    { "kp_6", 77, 0x4d, 0x74 }, { "kp_add", 78, 0x4e, 0x7c }, { "kp_1", 79, 0x4f, 0x69 }, { "kp_2", 80, 0x50, 0x72 },
    { "kp_3", 81, 0x51, 0x7a }, { "kp_0", 82, 0x52, 0x70 }, { "kp_decimal", 83, 0x53, 0x71 },
    { "less", 86, 0x56, 0x13 }, { "f11", 87, 0x57, 0x56 }, { "f12", 88, 0x58, 0x5e }, { "ro", 89, 0x73, 0x51 },
    { "hiragana", 91, 0x77, 0x87 }, { "henkan", 92, 0x79, 0x86 }, { "katakanahiragana", 93, 0x70, 0x87 },
    { "muhenkan", 94, 0x7b, 0x85 }, { "kp_enter", 96, 0xe01c, 0x79 }, { "ctrl_r", 97, 0xe01d, 0x58 },
    { "kp_divide", 98, 0xe035, 0x77 }, { "print", 99, 0, 0x57 }, { "sysrq", 99, 0, 0x57 },
    { "alt_r", 100, 0xe038, 0x39 }, { "lf", 101, 0x5b, 0 },
    { "home", 102, 0xe047, 0x6e }, { "up", 103, 0xe048, 0x63 }, { "pgup", 104, 0xe049, 0x6f },
    { "left", 105, 0xe04b, 0x61 }, { "right", 106, 0xe04d, 0x6a }, { "end", 107, 0xe04f, 0x65 },
    { "down", 108, 0xe050, 0x60 }, { "pgdn", 109, 0xe051, 0x6d }, { "insert", 110, 0xe052, 0x67 },
    { "delete", 111, 0xe053, 0x64 },
    { "audiomute", 113, 0xe020, 0 }, { "volumedown", 114, 0xe02e, 0 }, { "volumeup", 115, 0xe030, 0 },
    { "power", 116, 0xe05e, 0 }, { "kp_equals", 117, 0x59, 0 }, { "pause", 119, 0, 0x62 },
    { "kp_comma", 121, 0x7e, 0 }, { "lang1", 122, 0x72, 0 }, { "lang2", 123, 0x71, 0 }, { "yen", 124, 0x7d, 0x5d },
    { "meta_l", 125, 0xe05b, 0x8b }, { "meta_r", 126, 0xe05c, 0x8c }, { "compose", 127, 0xe05d, 0x8d },
    { "stop", 128, 0xe068, 0x0a }, { "again", 129, 0xe005, 0 }, { "props", 130, 0xe006, 0 },
    { "undo", 131, 0xe007, 0 }, { "front", 132, 0xe00c, 0 }, { "copy", 133, 0xe018, 0 }, { "open", 134, 0xe064, 0 },
    { "paste", 135, 0xe065, 0 }, { "find", 136, 0xe041, 0 }, { "cut", 137, 0xe03c, 0 }, { "help", 138, 0xe075, 0 },
    { "menu", 139, 0xe01e, 0 }, { "calculator", 140, 0xe021, 0 }, { "sleep", 142, 0xe05f, 0 },
    { "wake", 143, 0xe063, 0 },
    { "mail", 155, 0xe06c, 0 }, { "ac_bookmarks", 156, 0xe066, 0 }, { "computer", 157, 0xe06b, 0 },
    { "ac_back", 158, 0xe06a, 0 }, { "ac_forward", 159, 0xe069, 0 }, { "audionext", 163, 0xe019, 0 },
    { "audioplay", 164, 0xe022, 0 }, { "audioprev", 165, 0xe010, 0 }, { "audiostop", 166, 0xe024, 0 },
    { "ac_home", 172, 0xe032, 0 }, { "ac_refresh", 173, 0xe067, 0 }, { "mediaselect", 226, 0xe06d, 0 },
    { "f13", 183, 0x64, 0 }, { "f14", 184, 0x65, 0 }, { "f15", 185, 0x66, 0 }, { "f16", 186, 0x67, 0 },
    { "f17", 187, 0x68, 0 }, { "f18", 188, 0x69, 0 }, { "f19", 189, 0x6a, 0 }, { "f20", 190, 0x6b, 0 },
    { "f21", 191, 0x6c, 0 }, { "f22", 192, 0x6d, 0 }, { "f23", 193, 0x6e, 0 }, { "f24", 194, 0x76, 0 },
    { NULL, 0, 0, 0 },
};
/* clang-format on */

const InputKey *input_key_by_name(const char *name)
{
    for (const InputKey *key = input_keys; key->name; key++) {
        if (strcmp(key->name, name) == 0) {
            return key;
        }
    }
    return NULL;
}

const InputKey *input_key_by_code(uint16_t code)
{
    for (const InputKey *key = input_keys; key->name; key++) {
        if (key->code == code) {
            return key;
        }
    }
    return NULL;
}

const InputKey *input_key_by_number(unsigned number)
{
    unsigned set1 = (number & 0x7f) | (number & 0x80 ? 0xe000 : 0);

    if (number == 0 || number > 0xff) {
        return NULL;
    }
    if (number == 0x54 || number == 0xb7) {
        return input_key_by_code(INPUT_KEY_PRINT);
    }
    if (number == 0xc6) {
        return input_key_by_code(INPUT_KEY_PAUSE);
    }
    for (const InputKey *key = input_keys; key->name; key++) {
        if (key->set1 == set1) {
            return key;
        }
    }
    return NULL;
}
