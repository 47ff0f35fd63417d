/* SPDX-License-Identifier: MIT */
/* From keysyms (X11's names of what is on key tops) to keys, by the layouts of xkbcommon. */
#ifndef UI_VNC_KEYBOARD_H
#define UI_VNC_KEYBOARD_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct VncKeyboard VncKeyboard;

typedef enum { VNC_SHIFT = 1, VNC_ALTGR = 2 } VncModifiers;

typedef struct {
    uint16_t code;     /* Linux's */
    uint8_t modifiers; /* VncModifiers that must be down for this keysym */
} VncKey;

/* layout: as -k has it: "en-us", "de", "fr-ch", or what XKB calls it: "de(neo)". */
VncKeyboard *vnc_keyboard_new(const char *layout, GError **error);
void vnc_keyboard_free(VncKeyboard *keyboard);
/* Of several keys the one that needs what is down already. false: no key has it. */
bool vnc_keyboard_find(const VncKeyboard *keyboard, uint32_t keysym, unsigned modifiers,
                       VncKey *key);
/* The character or DisplayKey that a text console gets; 0: none. */
uint32_t vnc_keysym_text(uint32_t keysym);
/* Whether it is a letter or another sign, for which shift and AltGr have to be right. */
bool vnc_keysym_is_sign(uint32_t keysym);
bool vnc_keysym_is_letter(uint32_t keysym);

#endif
