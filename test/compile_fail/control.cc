// What the other files of this folder misuse, used as meant: this one must compile.
#include <fmt/format.h>

#include "base/ids.h"
#include "crypto/prg.h"
#include "mpc/protocol.h"

using namespace treville;

Shared keep(const Shared& x) { return x.clone(); }
std::optional<Public> open(Protocol& pass, const Shared& x) { return pass.reveal(x, PartyId::kDealer); }
bool same_shape(const Shared& a, const Shared& b) { return a.shape() == b.shape() && a.has_plane(); }
Bits wider(Bits bits) { return bits + Bits(1); }
int number(PartyId party) { return index_of(party); }
uint32_t number(SlotId slot) { return index_of(slot); }
std::string text(PartyId party, Bits bits) { return fmt::format("{} {}", party, bits); }
Key copy(const Key& key) { return key; }
