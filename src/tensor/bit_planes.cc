#include "tensor/bit_planes.h"

namespace treville {

BitPlanes BitPlanes::adopt(int64_t elements, int planes, Buffer storage) {
  CHECK(storage.bytes() == bytes_for(elements, planes), "{} planes of {} elements need {} bytes, not {}", planes,
        elements, bytes_for(elements, planes), storage.bytes());
  BitPlanes result;
  result.elements_ = elements;
  result.planes_ = planes;
  result.storage_ = std::move(storage);
  return result;
}

}  // namespace treville
