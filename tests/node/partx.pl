# partx.pl --update DISK: shows the partitions of a disk that is a file, as the kernel would, each as a file of its own.
# partx.pl --delete DISK: writes them back and takes them away.
use strict;
use warnings;

my ($what, $path) = @ARGV;
my $root = $ENV{LABIMG_ROOT};
my ($name) = $path =~ m|([^/]*)$|;
open(my $disk, '+<:raw', $path) or die "$path: $!";
sysread($disk, my $head, 4096);
# Both must be there: the protective MBR and GPT's header.
exit 0 if substr($head, 510, 2) ne "\x55\xaa" || substr($head, 512, 8) ne 'EFI PART';

sub copy {
    my ($from, $at, $to, $target, $length) = @_;
    my $end = $at + $length;
    my $begin = $at;
    while (defined($begin = sysseek($from, $begin, 3)) && $begin < $end) {
        my $until = sysseek($from, $begin, 4);
        $until = $end if $until > $end;
        while ($begin < $until) {
            sysseek($from, $begin, 0);
            my $got = sysread($from, my $data, $until - $begin < 1 << 20 ? $until - $begin : 1 << 20) or die "$!";
            sysseek($to, $begin - $at + $target, 0);
            syswrite($to, $data) == $got or die "$!";
            $begin += $got;
        }
    }
}

for my $number (1, 2) {
    my $entry = substr($head, 1024 + ($number - 1) * 128, 128);
    my ($first, $last) = unpack('Q<Q<', substr($entry, 32, 16));
    my $label = substr($entry, 56, 72);
    $label =~ s/\0//g;
    my ($begin, $length) = ($first * 512, ($last - $first + 1) * 512);
    my ($part, $sys) = ("$path$number", "$root/sys/block/$name/$name$number");
    if ($what eq '--update' && !-e $part) {
        open(my $file, '>:raw', $part) or die "$part: $!";
        truncate($file, $length);
        copy($disk, $begin, $file, 0, $length);
        mkdir $sys;
        for (['partition', $number], ['uevent', "PARTNAME=$label"]) {
            open(my $out, '>', "$sys/$_->[0]") or die "$!";
            print $out "$_->[1]\n";
        }
        symlink $sys, "$root/sys/class/block/$name$number";
    } elsif ($what eq '--delete' && -e $part) {
        open(my $file, '<:raw', $part) or die "$part: $!";
        copy($file, 0, $disk, $begin, $length);
        unlink $part, "$root/sys/class/block/$name$number";
    }
}
