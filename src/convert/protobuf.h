// One message of a protocol buffer, field by field, without its schema. Messages inside it are fields of bytes, which
// the caller reads in turn.
// Definition: https://protobuf.dev/programming-guides/encoding.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace wallaby::convert {

enum class Wire : uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

struct ProtobufField {
    uint32_t number = 0;
    Wire wire = Wire::varint;
    uint64_t value = 0;              // of all kinds but bytes
    std::span<const uint8_t> bytes;  // of that kind
    uint64_t offset = 0;             // of the field in the file

    std::string_view text() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
};

class ProtobufMessage {
  public:
    // `bytes` stand at `offset` of the file, which errors name together with the message.
    ProtobufMessage(std::span<const uint8_t> bytes, uint64_t offset, std::string_view name, const std::string& file)
        : bytes_(bytes), offset_(offset), name_(name), file_(file) {}

    // Nothing at the end. Refuses what is cut short, numbers over 64 bits, and groups, which no file of ours has.
    Result<std::optional<ProtobufField>> next();
    // The message that a field of this one holds.
    Result<ProtobufMessage> inner(const ProtobufField& field, std::string_view name) const;

    // Checks of a field's kind, with its content.
    Result<uint64_t> integer(const ProtobufField& field) const;
    Result<float> f32(const ProtobufField& field) const;
    Result<std::span<const uint8_t>> bytes(const ProtobufField& field) const;

    Error error(uint64_t offset, std::string what) const;

  private:
    Result<uint64_t> varint();
    Result<std::span<const uint8_t>> take(uint64_t n_bytes);
    Result<void> require(const ProtobufField& field, Wire wire) const;

    std::span<const uint8_t> bytes_;
    uint64_t offset_;
    std::string_view name_;
    const std::string& file_;
    size_t at_ = 0;
};

}  // namespace wallaby::convert
