//! The worker on a real store. Where nothing says otherwise no connector is installed, so every attempt ends as the
//! host's own "no plug-in" verdict: what is tested there is acceptance, planning, retries and the record. `channels` and
//! `signatures` really send: the webhook plug-in in its process, to a receiver on loopback.

mod acceptance;
mod account;
mod behaviour;
mod brokers;
mod channels;
mod configuration;
mod deliveries;
mod fallback;
mod inbox;
mod intake;
mod noise;
mod noise_hours;
mod noise_sites;
mod planning;
mod receiver;
mod redrive;
mod signatures;
mod studio;
mod told;
