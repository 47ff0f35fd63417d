/* SPDX-License-Identifier: MIT */
/*
 * A PC's firmware of 64 KiB that moves itself to 3 MiB and goes on there: all of it, or, with PART, what lies between code32init_start and code32init_end,
 * as SeaBIOS does. For debuggers.
 */
#define MOVED_TO 0x300000

        .macro function name
        .globl  \name
        .type   \name, @function
\name:
        .endm
        .macro end_function name
        .size   \name, . - \name
        .endm

        .code16
start:  cli
        lgdtl   %cs:(table - start)
        movl    %cr0, %eax
        orl     $1, %eax
        movl    %eax, %cr0
        ljmpl   $8, $flat

        .balign 8
entries:
        .quad   0, 0x00cf9b000000ffff, 0x00cf93000000ffff
table:  .word   . - entries - 1
        .long   entries

        .code32
flat:   movl    $16, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    $0x7000, %esp
        cld
        movl    $part, %esi
        movl    $MOVED_TO, %edi
        movl    $(part_end - part), %ecx
        rep movsb
        movl    $(MOVED_TO + first - part), %eax
        jmp     *%eax

function stays
        movl    0x6000, %eax
        addl    $1, %eax
        movl    %eax, 0x6000
        movl    0x6004, %edx
        xorl    %eax, %edx
        movl    %edx, 0x6004
        xorl    %eax, %eax
        ret
end_function stays

        .balign 16
#ifdef PART
        .globl  code32init_start, code32init_end
        .set    part, code32init_start
        .set    part_end, code32init_end
code32init_start:
#else
        .set    part, start
#endif
function first
        movl    $0, 0x6000
        movl    $0, 0x6004
        movl    $0, 0x6008
        call    second
0:      movl    $stays, %eax
        call    *%eax
        addl    $1, 0x6008
        jmp     0b
end_function first

function second
        movl    0x6008, %eax
        addl    $2, %eax
        movl    %eax, 0x6008
        movl    0x600c, %edx
        xorl    %eax, %edx
        movl    %edx, 0x600c
        xorl    %eax, %eax
        ret
end_function second
#ifdef PART
code32init_end:
#else
part_end:
#endif

        .org    0xfff0
        .code16
        ljmp    $0xf000, $(start - start)
        .org    0x10000
