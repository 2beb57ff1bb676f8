//! Packets as the bytes of an Ethernet frame.

use std::net::IpAddr;

use rl_planner::firewall::{ICMP, ICMPV6, Packet, SourcePort, TCP, UDP};

/// MAC of the receiving end of the pair.
const RECEIVER: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// The hop count of a packet, by which the rules tell which one it is.
pub(super) fn mark(index: usize) -> u8 {
    u8::try_from(index + 3).unwrap()
}

/// Sum of RFC 1071.
fn checksum(parts: &[&[u8]]) -> u16 {
    let bytes: Vec<u8> = parts.concat();
    let pairs = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum: u32 = pairs.sum();
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// The frame of a packet.
pub(super) fn frame(index: usize, packet: &Packet, mac: [u8; 6]) -> Vec<u8> {
    let (source, dest) = (octets(packet.source), octets(packet.dest));
    let payload = payload(packet, &source, &dest);
    let length = u16::try_from(payload.len()).unwrap();
    let mut out = [&RECEIVER[..], &mac[..]].concat();
    if packet.source.is_ipv4() {
        let mut head = vec![0x45, 0];
        head.extend((length + 20).to_be_bytes());
        head.extend([0, 0, 0x40, 0, mark(index), packet.proto, 0, 0]);
        head.extend(source);
        head.extend(dest);
        let sum = checksum(&[&head]).to_be_bytes();
        head[10..12].copy_from_slice(&sum);
        out.extend([0x08, 0x00]);
        out.extend(head);
    } else {
        out.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        out.extend(length.to_be_bytes());
        out.extend([packet.proto, mark(index)]);
        out.extend(source);
        out.extend(dest);
    }
    out.extend(payload);
    out
}

fn payload(packet: &Packet, source: &[u8], dest: &[u8]) -> Vec<u8> {
    let sport = match packet.sport {
        SourcePort::Known(port) => port,
        SourcePort::Picked => 40_000,
    };
    let ports = [sport.to_be_bytes(), packet.dport.to_be_bytes()].concat();
    let (mut bytes, sum_at) = match packet.proto {
        TCP => {
            let mut tcp = ports;
            tcp.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, packet.flags, 0xff, 0xff, 0, 0, 0, 0]);
            (tcp, 16)
        }
        UDP => {
            let mut udp = ports;
            udp.extend([0, 12, 0, 0, b'd', b'a', b't', b'a']);
            (udp, 6)
        }
        ICMP | ICMPV6 => (vec![packet.icmp.0, packet.icmp.1, 0, 0, 0, 7, 0, 1, 0, 0, 0, 0], 2),
        _ => return vec![0; 16],
    };
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    let sum = if packet.proto == ICMP {
        checksum(&[&bytes])
    } else {
        checksum(&[source, dest, &length, &[0, 0, 0, packet.proto], &bytes])
    };
    bytes[sum_at..sum_at + 2].copy_from_slice(&sum.to_be_bytes());
    bytes
}
