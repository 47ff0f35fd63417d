/* SPDX-License-Identifier: MIT */
/*
 * A multiboot kernel that looks at its clock, as icount-a64.S does: what a loop of LOOPS rounds takes by the TSC, and how much later it
 * is after TICKS ticks of the timer, between which it sleeps. Numbers in hexadecimal go to the debug console.
 */
        .set    LOOPS, 100000
        .set    TICKS, 1820
        .text
        .long   0x1badb002, 0, -0x1badb002
        .global _start
_start:
        cli
        lgdt    gdt_pointer
        ljmp    $8, $1f
1:      movl    $16, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    $stack, %esp

        movl    $LOOPS, %ecx
        rdtsc
        movl    %eax, %esi
2:      decl    %ecx
        jnz     2b
        rdtsc
        subl    %esi, %eax
        call    print

        movl    $tick, %eax
        movw    %ax, idt + 8 * 32
        movw    $8, idt + 8 * 32 + 2
        movw    $0x8e00, idt + 8 * 32 + 4
        shrl    $16, %eax
        movw    %ax, idt + 8 * 32 + 6
        lidt    idt_pointer
        movb    $0x11, %al              /* both interrupt controllers from vector 32 on, only the timer */
        outb    %al, $0x20
        movb    $32, %al
        outb    %al, $0x21
        movb    $4, %al
        outb    %al, $0x21
        movb    $1, %al
        outb    %al, $0x21
        movb    $0xfe, %al
        outb    %al, $0x21
        movb    $0x34, %al              /* 18.2 times a second */
        outb    %al, $0x43
        xorb    %al, %al
        outb    %al, $0x40
        outb    %al, $0x40
        rdtsc
        movl    %eax, %esi
        movl    %edx, %edi
        xorl    %ebx, %ebx
3:      sti
        hlt
        cli
        cmpl    $TICKS, %ebx
        jb      3b
        rdtsc
        subl    %esi, %eax
        sbbl    %edi, %edx
        movl    $1000000, %ecx          /* milliseconds */
        divl    %ecx
        call    print
        movb    $0x10, %al
        movw    $0x501, %dx
        outb    %al, %dx
        hlt

tick:   pushl   %eax
        incl    %ebx
        movb    $0x20, %al
        outb    %al, $0x20
        popl    %eax
        iret

/* eax as eight digits and a line feed. */
print:  movl    %eax, %edx
        movl    $8, %ecx
4:      roll    $4, %edx
        movb    %dl, %al
        andb    $15, %al
        cmpb    $10, %al
        jb      5f
        addb    $'a' - '0' - 10, %al
5:      addb    $'0', %al
        outb    %al, $0xe9
        loop    4b
        movb    $'\n', %al
        outb    %al, $0xe9
        ret

        .balign 8
gdt:    .quad   0, 0x00cf9a000000ffff, 0x00cf92000000ffff
gdt_pointer:
        .word   23
        .long   gdt
idt_pointer:
        .word   8 * 33 - 1
        .long   idt
        .balign 8
idt:    .skip   8 * 33
        .skip   4096
stack:
